"""Server-sent events of an account, over a real socket."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
import pytest
from conftest import earn, run
from followed_chain import Earned, FollowedChain, source
from live_api import CREDIT, WALLET, LiveApi, live_api
from owning import owner

from api.accounts import events
from api.streaming import STREAMS_PER_CALLER_MAX
from ledger.ids import parse_account

OTHER = bytes.fromhex("22" * 20)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """API keys are remembered for a moment only, by an API that is made after this."""
    monkeypatch.setattr("api.identity.callers.API_KEY_CACHE_SECONDS", 0.2)


@dataclass(frozen=True)
class Event:
    name: str
    id: str
    data: dict[str, object]


def told(response: httpx2.Response) -> Iterator[Event]:
    """Each event as it comes."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def until(stream: Iterator[Event], wanted: Callable[[Event], bool]) -> Event:
    for event in stream:
        if wanted(event):
            return event
    raise AssertionError("the stream ended")


def test_a_balance_is_told_at_once_and_whenever_it_changes(api: LiveApi, account: str) -> None:
    with api.followed(account) as response:
        assert response.headers["content-type"] == "text/event-stream"
        stream = told(response)
        first = next(stream)
        assert (first.name, first.data["available"]) == ("balance", "20")
        assert first.data == api.get(f"/v1/accounts/{account}/balance").json()
        versions = [first.data["version"]]
        for left in ("13", "6"):
            api.charge(account, "report.render")
            event = until(stream, lambda event, left=left: event.data["available"] == left)  # type: ignore[misc]  # bound in this turn
            versions.append(event.data["version"])
        assert versions == [1, 2, 3]


def test_what_another_process_writes_is_told(api: LiveApi, account: str) -> None:
    with live_api(api.database_url) as other, api.followed(account) as response:
        stream = told(response)
        assert next(stream).data["available"] == "20"
        other.charge(account, "report.render")
        assert next(stream).data["available"] == "13"


def on_chain(database_url: str, story: Callable[[FollowedChain], object]) -> None:
    """Tell what a chain does, from a thread of its own, where the stream is read meanwhile."""

    async def main() -> None:
        async with FollowedChain.lead(database_url, rule=source("more"), chain_id=7) as chain:
            await story(chain)  # type: ignore[misc]  # each is a coroutine

    asyncio.run(main())


def test_earnings_are_told_when_they_are_seen_confirmed_and_taken_back(api: LiveApi) -> None:
    wallet = {"wallet": {"chain_id": 7, "address": f"0x{WALLET.hex()}"}}
    account = api.post("/v1/accounts", wallet).json()["id"]
    with api.followed(account) as response:
        stream = told(response)
        assert next(stream).name == "balance"

        async def story(chain: FollowedChain) -> None:
            stays = await chain.grow()
            await chain.grow(Earned(WALLET, 5 * CREDIT, "one"), Earned(WALLET, CREDIT, "two"))
            seen = [await asyncio.to_thread(next, stream) for _ in range(3)]
            assert [(event.name, event.data.get("state")) for event in seen] == [
                ("earning", "pending"),
                ("earning", "pending"),
                ("balance", None),
            ]
            assert seen[2].data["pending"] == "6"
            await chain.confirm()
            granted = [await asyncio.to_thread(next, stream) for _ in range(3)]
            assert [event.data.get("state") for event in granted[:2]] == ["confirmed"] * 2
            assert [event.data["id"] for event in granted[:2]] == [
                event.data["id"] for event in seen[:2]
            ]
            assert granted[2].data["available"] == "6"
            await chain.reverse(stays)
            back = [await asyncio.to_thread(next, stream) for _ in range(2)]
            assert [event.name for event in back] == ["reset", "balance"]
            assert back[1].data["available"] == "0"

        on_chain(api.database_url, story)


def test_a_reader_that_comes_back_is_told_what_it_missed(api: LiveApi) -> None:
    wallet = {"wallet": {"chain_id": 7, "address": f"0x{WALLET.hex()}"}}
    account = api.post("/v1/accounts", wallet).json()["id"]

    async def story(chain: FollowedChain) -> None:
        await chain.grow(Earned(WALLET, 5 * CREDIT, "one"), Earned(WALLET, CREDIT, "two"))
        with api.followed(account) as response:
            first = next(told(response))
        assert first.data["pending"] == "6"
        await chain.grow(Earned(WALLET, 2 * CREDIT, "three"))
        await chain.confirm(chain.blocks[0])
        for _ in range(2):  # whoever loses the answer again is told again
            with api.followed(account, first.id) as response:
                stream = told(response)
                missed = [next(stream) for _ in range(4)]
            assert [(event.name, event.data.get("state")) for event in missed] == [
                ("earning", "confirmed"),
                ("earning", "confirmed"),
                ("earning", "pending"),
                ("balance", None),
            ]
        # Half-way: the rest, and nothing twice that was told before.
        with api.followed(account, missed[3].id) as response:
            again = next(told(response))
        assert (again.name, again.data) == ("balance", missed[3].data)
        # A number that is none of ours is no reason to refuse a reader for ever.
        for wrong in ("x", "1.2.3", missed[3].id.replace(".0", ".9")):
            with api.followed(account, wrong) as response:
                stream = told(response)
                assert [next(stream).name for _ in range(2)] == ["reset", "balance"]

    on_chain(api.database_url, story)


def test_who_missed_too_much_reads_anew(api: LiveApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MISSED_MAX", 2)
    earn(api.database_url, WALLET, CREDIT)
    account = api.open_wallet(WALLET)
    with api.followed(account) as response:
        first = next(told(response))
    for _ in range(3):
        earn(api.database_url, WALLET, CREDIT)
    with api.followed(account, first.id) as response:
        stream = told(response)
        assert [next(stream).name for _ in range(2)] == ["reset", "balance"]


def test_a_quiet_stream_shows_that_it_is_alive(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.1)
    with api.followed(account) as response:
        lines = response.iter_lines()
        assert [line for line, _ in zip(lines, range(12), strict=False)].count(": still here") > 1


@pytest.mark.usefixtures("forgetful")
def test_a_revoked_api_key_ends_the_stream(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.1)
    with api.followed(account) as response:
        stream = told(response)
        assert next(stream).name == "balance"
        run(api.database_url, "update creditd.api_key set revoked_at = now()")
        assert list(stream) == []


def test_an_app_that_may_not_reach_the_account_any_more_is_told_nothing_more(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.1)
    with api.followed(account) as response:
        stream = told(response)
        assert next(stream).name == "balance"
        run(api.database_url, "delete from creditd.account_access; delete from creditd.consent")
        assert list(stream) == []


def test_a_strangers_account_is_not_followed(api: LiveApi, account: str) -> None:
    stranger = api.api_key(app="stranger")
    with api.followed(account, api_key=stranger) as response:
        assert response.status_code == 404
    with api.followed(account, api_key=api.api_key(["charge:write"])) as response:
        assert response.status_code == 403


def sockets(
    api: LiveApi, account: str, count: int, api_key: str | None = None
) -> list[socket.socket]:
    parts = urlsplit(api.url)
    request = (
        f"GET /v1/accounts/{account}/events HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {api_key or api.default_key}\r\n\r\n"
    ).encode()
    made = []
    for _ in range(count):
        connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
        connection.sendall(request)
        made.append(connection)
    return made


def test_a_caller_has_so_many_streams_and_room_again_when_they_are_gone(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.streaming.STREAMS_PER_CALLER_MAX", 3)
    assert STREAMS_PER_CALLER_MAX > 3
    open_ones = sockets(api, account, 3)
    for connection in open_ones:
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    with api.followed(account) as response:
        assert response.status_code == 429
    for connection in open_ones:
        connection.close()
    deadline = time.monotonic() + 10
    while True:
        with api.followed(account) as response:
            if response.status_code == 200:
                break
        assert time.monotonic() < deadline


def test_more_api_keys_or_people_are_no_more_streams(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.streaming.STREAMS_PER_PERSON_MAX", 2)
    monkeypatch.setattr("api.streaming.STREAMS_OF_PEOPLE_MAX", 3)
    earn(api.database_url, OTHER, CREDIT)
    other = api.open_wallet(OTHER)
    open_ones = sockets(api, account, 2, owner(api, account))
    open_ones += sockets(api, other, 1, owner(api, other))
    for connection in open_ones:
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    refused = [(owner(api, other), other, 503), (owner(api, account), account, 503)]
    monkeypatch.setattr("api.streaming.STREAMS_OF_PEOPLE_MAX", 9)
    with api.followed(account, api_key=owner(api, account)) as response:
        assert response.status_code == 429
        assert response.json()["type"] == "/problems/too-many-streams"
    monkeypatch.setattr("api.streaming.STREAMS_OF_PEOPLE_MAX", 3)
    for key, whose, status in refused:
        with api.followed(whose, api_key=key) as response:
            assert response.status_code == status
    with api.followed(account) as response:  # an app's
        assert response.status_code == 200
    for connection in open_ones:
        connection.close()


def test_a_place_that_no_number_has_is_answered_with_a_reset(api: LiveApi, account: str) -> None:
    with api.followed(account, ".".join(["9" * 19] * 4)) as response:
        assert next(told(response)).name == "reset"


def test_a_stop_ends_streams_at_once(database_url: str) -> None:
    earn(database_url, WALLET, CREDIT)
    with live_api(database_url) as api:
        (connection,) = sockets(api, api.open_wallet(WALLET), 1)
        received = b""
        while b"event: balance" not in received:
            received += connection.recv(4096)
        began = time.monotonic()
    took = time.monotonic() - began
    while chunk := connection.recv(4096):
        received += chunk
    connection.close()
    assert received.endswith(b"0\r\n\r\n")
    assert took < 3


def test_head_asks_without_following(api: LiveApi, account: str) -> None:
    headers = {"Authorization": f"Bearer {api.default_key}"}
    response = api.client.head(f"/v1/accounts/{account}/events", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"


def test_a_wallet_that_is_linked_brings_earnings_that_were_seen_before(api: LiveApi) -> None:
    wallet = {"wallet": {"chain_id": 7, "address": f"0x{WALLET.hex()}"}}
    account = api.post("/v1/accounts", wallet).json()["id"]
    other = bytes.fromhex("22" * 20)

    async def story(chain: FollowedChain) -> None:
        await chain.grow(Earned(other, CREDIT, "first"), Earned(WALLET, CREDIT, "second"))
        with api.followed(account) as response:
            stream = told(response)
            assert next(stream).data["pending"] == "1"
            root, number = parse_account(account)
            run(
                api.database_url,
                f"select creditd.join_wallet(7, '\\x{other.hex()}', {root}, {number})",
            )
            brought = [await asyncio.to_thread(next, stream) for _ in range(2)]
            assert (brought[0].name, brought[0].data["state"]) == ("earning", "pending")
            assert brought[1].data["pending"] == "2"
            await chain.confirm()
            granted = [await asyncio.to_thread(next, stream) for _ in range(3)]
            assert [event.data.get("state") for event in granted[:2]] == ["confirmed"] * 2
            assert granted[2].data["available"] == "2"

    on_chain(api.database_url, story)
