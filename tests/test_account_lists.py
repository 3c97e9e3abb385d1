"""Entries, earnings and usage of an account: what is chosen, summed up and written as files."""

import asyncio
import csv
import io
import socket
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from conftest import earn, run
from followed_chain import Earned, FollowedChain
from hypothesis import given
from hypothesis import strategies as st
from live_api import CREDIT, WALLET, LiveApi

from api.accounts import entries, usage, wire
from api.accounts.csv_files import columns, csv_stream
from ledger.ids import parse_account
from ledger.reading import EntryRow, Reading


@pytest.fixture
def account(api: LiveApi) -> str:
    """An account that has earned 200 credits."""
    earn(api.database_url, WALLET, 200 * CREDIT)
    return api.open_wallet(WALLET)


def data(api: LiveApi, account: str, what: str, **query: str) -> list[dict[str, object]]:
    response = api.get(f"/v1/accounts/{account}/{what}", **query)
    assert response.status_code == 200, response.text
    found: list[dict[str, object]] = response.json()["data"]
    return found


def file(api: LiveApi, account: str, what: str, **query: str) -> list[dict[str, str]]:
    response = api.get(f"/v1/accounts/{account}/{what}.csv", **query)
    assert response.status_code == 200
    assert response.headers["content-disposition"] == f'attachment; filename="{what}.csv"'
    text = response.content.decode()
    assert text.count("\r\n") == text.count("\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def all_of(api: LiveApi, account: str, what: str, **query: str) -> list[dict[str, object]]:
    """Every row, page after page."""
    rows: list[dict[str, object]] = []
    while True:
        page = api.get(f"/v1/accounts/{account}/{what}", **query).json()
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        query["cursor"] = page["next_cursor"]


def spread(api: LiveApi, days: int) -> datetime:
    """Move the entries apart, a day each, the first of them so many days ago; return its time."""
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
    run(api.database_url, "alter table creditd.entry disable trigger entry_is_append_only")
    run(
        api.database_url,
        f"update creditd.entry set at = '{first}'::timestamptz + (seq - 1) * interval '1 day'",
    )
    return first


def test_entries_are_chosen_by_their_kind_and_time(api: LiveApi, account: str) -> None:
    for _ in range(4):
        charge = api.charge(account, "report.render").json()["id"]
    api.post(f"/v1/charges/{charge}/refund", {})
    first = spread(api, 20)
    assert [row["seq"] for row in data(api, account, "entries", kind="charge")] == [5, 4, 3, 2]
    assert [row["kind"] for row in data(api, account, "entries", kind="refund")] == ["refund"]
    assert data(api, account, "entries", kind="expiry") == []
    for since, to in ((0, 6), (1, 3), (2, 2), (5, 9), (7, 9)):
        chosen = {
            "from": (first + timedelta(days=since)).isoformat(),
            "to": (first + timedelta(days=to)).isoformat(),
        }
        expected = [seq for seq in range(6, 0, -1) if since <= seq - 1 < to]
        assert [row["seq"] for row in data(api, account, "entries", **chosen)] == expected
        assert [
            row["seq"] for row in all_of(api, account, "entries", limit="2", **chosen)
        ] == expected
        assert [int(row["seq"]) for row in file(api, account, "entries", **chosen)] == expected
    for name, value in (("kind", "x"), ("from", "yesterday"), ("to", "2026-01-01T00:00:00")):
        response = api.get(f"/v1/accounts/{account}/entries", **{name: value})
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == name


def test_a_page_looks_at_so_many_entries_and_goes_on(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "LOOKED_AT_MAX", 3)
    monkeypatch.setattr(entries, "ROWS_AT_ONCE", 2)
    for _ in range(9):
        api.charge(account, "report.render")
    page = api.get(f"/v1/accounts/{account}/entries", kind="grant").json()
    assert page["data"] == []
    assert page["next_cursor"] is not None
    assert [row["seq"] for row in all_of(api, account, "entries", kind="grant")] == [1]
    assert [int(row["seq"]) for row in file(api, account, "entries", kind="grant")] == [1]
    assert [int(row["seq"]) for row in file(api, account, "entries")] == list(range(10, 0, -1))
    assert [row["seq"] for row in all_of(api, account, "entries")] == list(range(10, 0, -1))


def test_an_earning_is_looked_up_with_what_proves_it(api: LiveApi) -> None:
    async def main() -> None:
        async with FollowedChain.lead(api.database_url, depth=2) as chain:
            await chain.grow(Earned(WALLET, 5 * CREDIT, "one"))
            await chain.grow(
                Earned(bytes(20), 1, "other"), Earned(WALLET, CREDIT, "two", ordinal=4)
            )
            await chain.confirm(chain.blocks[0])

    asyncio.run(main())
    account = api.open_wallet(WALLET)
    pending, confirmed = data(api, account, "earnings")
    assert (pending["state"], confirmed["state"]) == ("pending", "confirmed")
    assert (confirmed["entry"], pending["entry"], pending["log_index"]) == (1, None, 1)
    assert pending["ready_at"] is not None
    assert confirmed["ready_at"] is None
    for earning in (pending, confirmed):
        shown = api.get(f"/v1/accounts/{account}/earnings/{earning['id']}").json()
        assert shown == {**earning, "ready_at": shown["ready_at"]}
        assert data(api, account, "earnings", state=str(earning["state"]))[0]["id"] == earning["id"]
    assert len(data(api, account, "earnings", source="stakes")) == 2
    assert data(api, account, "earnings", source="stake") == []
    rows = file(api, account, "earnings", state="confirmed")
    assert [(row["id"], row["credits"], row["tx_hash"]) for row in rows] == [
        (confirmed["id"], "5", confirmed["tx_hash"])
    ]
    # Another account's is none of this one's.
    theirs = api.post("/v1/accounts", {"name": "alice"}).json()["id"]
    for path in (f"{theirs}/earnings/{pending['id']}", f"{account}/earnings/ern_7z"):
        response = api.get(f"/v1/accounts/{path}")
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/no-such-earning"


def use(api: LiveApi, account: str) -> None:
    """Two charges, one half given back; settlements of either kind, a bit given back; a release."""
    api.charge(account, "report.render", 2)
    charge = api.charge(account, "chat.completion", 500).json()["id"]
    api.post(f"/v1/charges/{charge}/refund", {"amount": "0.5"})
    asked = {"account": account, "operation": "report.render", "units": 3, "expires_in": 60}
    for how, body in (
        ("settle", {"amount": "8"}),
        ("settle", {"units": 1}),
        ("settle", {"units": 0}),
        ("release", {}),
    ):
        name = api.post("/v1/reservations", asked).json()["id"]
        ended = api.post(f"/v1/reservations/{name}/{how}", body).json()
        if ended["charge"] is not None:
            api.post(f"/v1/charges/{ended['charge']}/refund", {"amount": "1"})


def test_usage_is_summed_up_by_operation_api_key_and_day(api: LiveApi, account: str) -> None:
    use(api, account)
    by_operation = data(api, account, "usage")
    assert by_operation == [
        {"group": "chat.completion", "charges": 1, "units": 500, "spent": "1", "refunded": "0.5"},
        {"group": "report.render", "charges": 3, "units": 3, "spent": "24", "refunded": "2"},
    ]
    (by_day,) = data(api, account, "usage", group_by="day")
    assert by_day == {
        "group": f"{datetime.now(UTC):%Y-%m-%d}",
        "charges": 4,
        "units": 503,
        "spent": "25",
        "refunded": "2.5",
    }
    (by_key,) = data(api, account, "usage", group_by="api_key")
    assert {**by_key, "group": None} == {**by_day, "group": None}
    assert str(by_key["group"]).isdecimal()
    rows = file(api, account, "usage")
    assert [
        {**row, "charges": int(row["charges"]), "units": int(row["units"])} for row in rows
    ] == (by_operation)
    shown = api.get(f"/v1/accounts/{account}/balance").json()
    assert shown["spent"] == "25"


def test_usage_has_the_units_that_the_entries_say(api: LiveApi, account: str) -> None:
    use(api, account)
    units: Counter[str] = Counter()
    for row in file(api, account, "entries"):
        if row["kind"] == "reserve":  # what is held is not used yet
            continue
        units[row["kind"]] += int(row["units"] or 0)
    assert units == {"grant": 0, "charge": 502, "refund": 0, "settlement": 1, "release": 0}
    (by_day,) = data(api, account, "usage", group_by="day")
    assert by_day["units"] == units.total()


def test_usage_of_a_charge_from_several_grants_is_counted_once(api: LiveApi) -> None:
    for _ in range(3):
        earn(api.database_url, WALLET, 4 * CREDIT)
    account = api.open_wallet(WALLET)
    api.charge(account, "report.render", 2)
    asked = {"account": account, "operation": "report.render", "expires_in": 60, "over_max": "9"}
    held = api.post("/v1/reservations", {**asked, "operation": "ping"}).json()["id"]
    api.post(f"/v1/reservations/{held}/settle", {"units": 3, "at_least": "3"})
    assert data(api, account, "usage") == [
        {"group": "ping", "charges": 1, "units": 3, "spent": "3", "refunded": "0"},
        {"group": "report.render", "charges": 1, "units": 2, "spent": "9", "refunded": "0"},
    ]


def test_usage_is_of_a_time(api: LiveApi, account: str) -> None:
    for _ in range(3):
        api.charge(account, "report.render")
    first = spread(api, 10)
    days = data(api, account, "usage", group_by="day")
    assert [row["group"] for row in days] == [
        f"{first + timedelta(days=day):%Y-%m-%d}" for day in (1, 2, 3)
    ]
    since = (first + timedelta(days=2)).isoformat()
    until = (first + timedelta(days=3)).isoformat()
    (row,) = data(api, account, "usage", **{"from": since, "to": until})
    assert (row["charges"], row["spent"]) == (1, "7")
    for chosen in ({"from": until, "to": since}, {"from": "2024-01-01T00:00:00Z"}):
        response = api.get(f"/v1/accounts/{account}/usage", **chosen)
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == "from"


def test_usage_of_too_much_is_refused_with_how_much_it_is(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "USAGE_ENTRIES_MAX", 3)
    for _ in range(3):
        api.charge(account, "report.render")
    response = api.get(f"/v1/accounts/{account}/usage")
    assert response.status_code == 400
    assert "4 entries" in response.json()["errors"][0]["message"]


def test_a_file_has_the_columns_of_the_list(api: LiveApi, account: str) -> None:
    api.charge(account, "report.render")
    listed = data(api, account, "entries")
    rows = file(api, account, "entries")
    assert list(rows[0]) == columns(wire.Entry)
    for row, shown in zip(rows, listed, strict=True):
        for name, value in shown.items():
            if not isinstance(value, dict) and name != "grant":
                assert row[name] == ("" if value is None else str(value))
    grant = listed[1]["grant"]
    assert isinstance(grant, dict)
    assert rows[1]["grant_tx_hash"] == grant["tx_hash"]
    assert (rows[0]["grant_source"], rows[0]["grant_reward_hash"]) == ("", "")


def test_a_file_of_many_pages_is_whole_while_others_write(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "ROWS_AT_ONCE", 2)
    for _ in range(8):
        api.charge(account, "report.render")
    path = f"/v1/accounts/{account}/entries.csv"
    headers = {"Authorization": f"Bearer {api.default_key}"}
    with api.client.stream("GET", path, headers=headers) as response:
        lines = response.iter_lines()
        next(lines)
        api.charge(account, "report.render")
        assert [line.split(",")[0] for line in lines] == [str(seq) for seq in range(9, 0, -1)]


def test_a_file_that_breaks_off_is_told_from_a_whole_one(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> object:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr("ledger.reading.Reading.entries", broken)
    path = f"/v1/accounts/{account}/entries.csv"
    headers = {"Authorization": f"Bearer {api.default_key}"}
    with pytest.raises(Exception, match=r"peer closed|incomplete|disconnected"):
        api.client.get(path, headers=headers)


def test_a_reader_that_does_not_read_is_dropped(
    api: LiveApi, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    async def endless(*_: object) -> AsyncIterator[list[wire.Entry]]:
        rows = [entries.entry_shown(await first_entry(api, account))] * 500
        try:
            while True:
                yield rows
        finally:
            ended.set()

    monkeypatch.setattr(entries, "_pages", endless)
    monkeypatch.setattr("api.connections.READ_SECONDS", 0.5)
    parts = urlsplit(api.url)
    request = f"GET /v1/accounts/{account}/entries.csv HTTP/1.1\r\nHost: x\r\n"
    authorization = f"Authorization: Bearer {api.default_key}\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall((request + authorization).encode())
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
        assert ended.wait(10)


async def first_entry(api: LiveApi, account: str) -> EntryRow:
    async with Reading.open(api.database_url) as reading:
        (row,) = await reading.entries(parse_account(account), before_seq=2, limit=1)
    return row


@given(st.text(max_size=20))
def test_no_cell_is_a_formula_and_each_comes_back(text: str) -> None:
    row = wire.Usage(text, 1, 2, "-3", "0.5")

    async def pages() -> AsyncGenerator[Sequence[wire.Usage], None]:
        yield [row]

    async def sent() -> str:
        stream = csv_stream("usage", wire.Usage, pages())
        return b"".join([piece async for piece in stream.pieces]).decode()

    lines = io.StringIO(asyncio.run(sent()), newline="")
    names, read = csv.reader(lines, strict=True)
    assert names == columns(wire.Usage)
    group, *rest = read
    assert rest == ["1", "2", "-3", "0.5"]
    if group != text:
        assert group == f"'{text}"
    assert not group.startswith(("=", "+", "@", "\t", "\r"))
    assert not group.startswith("-") or float(group) < 0 or set(group) <= set("-0.")
