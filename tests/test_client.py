import asyncio
import json
import socket
import time
from decimal import Decimal

import pytest
from creditd_client import (
    AsyncCredits,
    Credits,
    CreditsUnavailable,
    InsufficientCredits,
    OverBudget,
    Refused,
    caller_key,
)
from creditd_client.wire import attempts
from standin import (
    ACCOUNT,
    API_KEY,
    Fault,
    StandIn,
    answers,
    line_to,
    lost_after,
    lost_before,
    slow,
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", (0.01,) * len(attempts.BACKOFF_SECONDS))


def test_a_charge_says_what_it_cost_and_what_is_left() -> None:
    async def main() -> None:
        async with line_to(StandIn()) as (purse, _):
            charged = await purse.charge(ACCOUNT, "chat", 2, key="k")
            assert (charged.cost, charged.available) == (Decimal(24), Decimal(76))
            assert charged.ours
            assert not charged.replayed
            record = await purse.find_charge(charged.id)
            assert (record.account, record.operation, record.units) == (ACCOUNT, "chat", 2)
            assert not record.undone

    asyncio.run(main())


def test_a_second_call_under_the_key_of_a_charge_takes_nothing() -> None:
    async def main() -> None:
        books = StandIn()
        async with line_to(books) as (purse, _):
            first = await purse.charge(ACCOUNT, "chat", key='odd "key\\')
            second = await purse.charge(ACCOUNT, "chat", key='odd "key\\')
            assert second.replayed
            assert not second.ours
            assert (second.id, second.available) == (first.id, first.available)
            assert books.available == 88

    asyncio.run(main())


def test_a_402_names_its_amounts_and_is_not_tried_again() -> None:
    async def main() -> None:
        books = StandIn(available=Decimal("3.5"), pending=Decimal("0.000001"))
        async with line_to(books) as (purse, line):
            with pytest.raises(InsufficientCredits) as refused:
                await purse.charge(ACCOUNT, "chat", key="k")
            assert refused.value.required == 12
            assert refused.value.available == Decimal("3.5")
            assert refused.value.missing == Decimal("8.5")
            assert refused.value.pending == Decimal("0.000001")
            assert refused.value.problem["type"] == "/problems/insufficient-credits"
            assert len(line.requests) == 1
            books.available += 10
            assert not (await purse.charge(ACCOUNT, "chat", key="k")).replayed

    asyncio.run(main())


def test_a_402_over_a_budget_names_its_amounts_and_is_not_tried_again() -> None:
    async def main() -> None:
        books = StandIn(budget_left=Decimal("0.5"))
        async with line_to(books) as (purse, line):
            with pytest.raises(OverBudget) as refused:
                await purse.charge(ACCOUNT, "chat", key="k")
            assert refused.value.required == 12
            assert refused.value.left == Decimal("0.5")
            assert refused.value.problem["type"] == "/problems/over-budget"
            assert len(line.requests) == 1

    asyncio.run(main())


@pytest.mark.parametrize("fault", [lost_before, lost_after])
def test_a_charge_over_a_breaking_line_is_taken_once_under_one_key(fault: Fault) -> None:
    async def main() -> None:
        books = StandIn()
        async with line_to(books, fault, fault) as (purse, line):
            charged = await purse.charge(ACCOUNT, "chat")
            assert charged.ours
            assert charged.replayed == (fault is lost_after)
            assert books.available == 88
            assert len(line.keys) == 3
            assert len(set(line.keys)) == 1

    asyncio.run(main())


def test_a_charge_that_stood_long_before_a_lost_answer_is_not_ours() -> None:
    async def main() -> None:
        books = StandIn()
        async with line_to(books) as (purse, line):
            earlier = await purse.charge(ACCOUNT, "chat", key="k")
            books.charges['"k"']["at"] = "2026-01-01T00:00:00Z"
            line.faults.append(lost_after)
            again = await purse.charge(ACCOUNT, "chat", key="k")
            assert again.id == earlier.id
            assert not again.ours

    asyncio.run(main())


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_creditd_asks_for_is_kept(status: int) -> None:
    async def main() -> None:
        async with line_to(StandIn(), answers(status, retry_after="1")) as (purse, line):
            began = time.monotonic()
            charged = await purse.charge(ACCOUNT, "chat")
            assert time.monotonic() - began >= 1
            assert not charged.replayed
            assert len(line.requests) == 2

    asyncio.run(main())


def test_a_wait_longer_than_the_bound_is_left_to_the_caller() -> None:
    async def main() -> None:
        async with line_to(StandIn(), answers(429, retry_after="6")) as (purse, line):
            with pytest.raises(CreditsUnavailable) as unavailable:
                await purse.charge(ACCOUNT, "chat", key="k")
            assert unavailable.value.retry_after_seconds == 6
            assert unavailable.value.key == "k"
            assert not unavailable.value.maybe_taken
            assert len(line.requests) == 1

    asyncio.run(main())


def test_what_may_have_been_taken_once_stays_in_doubt() -> None:
    async def main() -> None:
        async with line_to(StandIn(), lost_after, answers(429, retry_after="6")) as (purse, _):
            with pytest.raises(CreditsUnavailable) as unavailable:
                await purse.charge(ACCOUNT, "chat")
            assert unavailable.value.maybe_taken

    asyncio.run(main())


def test_attempts_end() -> None:
    async def main() -> None:
        faults = [lost_before] * 2 * attempts.ATTEMPTS_MAX
        async with line_to(StandIn(), *faults) as (purse, line):
            with pytest.raises(CreditsUnavailable) as unavailable:
                await purse.charge(ACCOUNT, "chat")
            assert unavailable.value.maybe_taken
            assert len(line.requests) == attempts.ATTEMPTS_MAX

    asyncio.run(main())


def test_what_never_got_through_is_known_not_to_be_taken() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = reserved.getsockname()[1]
        async with AsyncCredits(f"http://127.0.0.1:{port}", API_KEY) as purse:
            with pytest.raises(CreditsUnavailable) as unavailable:
                await purse.charge(ACCOUNT, "chat")
            assert not unavailable.value.maybe_taken

    asyncio.run(main())


def test_a_slow_answer_is_not_waited_for_beyond_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", ())

    async def main() -> None:
        async with line_to(StandIn(), slow(0.9), timeout_seconds=0.6) as (purse, _):
            with pytest.raises(CreditsUnavailable, match=r"within 0\.6 s") as unavailable:
                await purse.charge(ACCOUNT, "chat")
            assert unavailable.value.maybe_taken

    asyncio.run(main())


@pytest.mark.parametrize(
    "nonsense",
    [
        answers(200, b"<html>It works!</html>"),
        answers(201, b"[]"),
        answers(201, b'{"id": "chg_1"}'),
        answers(201, b'{"id": "chg_1", "at": "2026-01-01T00:00:00Z", "cost": 12}'),
        answers(
            201, b'{"id": "chg_1", "at": "2026-01-01T00:00:00Z", "cost": "NaN", "available": "1"}'
        ),
        answers(201, b'{"id": "chg_1", "at": "soon", "cost": "12", "available": "1"}'),
        answers(201, b"[" * attempts.ANSWER_BYTES_MAX),
        answers(
            201,
            b'{"id": "chg_1", "at": "2026-01-01T00:00:00Z", "cost": "12", "available": "1"}'
            + b" " * attempts.ANSWER_BYTES_MAX,
        ),
        answers(302, b"", location="http://127.0.0.1:1/"),
        answers(402, b'{"title": "Pay me in tokens"}'),
        answers(404, b"no such host"),
    ],
)
def test_an_answer_that_is_not_creditds_is_not_taken_for_one(nonsense: Fault) -> None:
    async def main() -> None:
        async with line_to(StandIn(), nonsense) as (purse, line):
            with pytest.raises(CreditsUnavailable):
                await purse.charge(ACCOUNT, "chat")
            assert len(line.requests) == 1

    asyncio.run(main())


def test_a_refusal_carries_its_problem_and_is_not_tried_again() -> None:
    async def main() -> None:
        async with line_to(StandIn()) as (purse, line):
            with pytest.raises(Refused, match="unknown-operation") as refused:
                await purse.charge(ACCOUNT, "paint")
            assert refused.value.status == 422
            assert refused.value.problem["type"] == "/problems/unknown-operation"
            assert len(line.requests) == 1

    asyncio.run(main())


def test_a_charge_is_given_back_in_part_and_then_the_rest_of_it() -> None:
    async def main() -> None:
        async with line_to(StandIn(), lost_after) as (purse, line):
            charged = await purse.charge(ACCOUNT, "chat")
            line.faults.append(lost_after)
            part = await purse.refund(charged.id, amount=Decimal("0.5"))
            assert (part.charge, part.amount, part.available) == (
                charged.id,
                Decimal("0.5"),
                Decimal("88.5"),
            )
            assert not (await purse.find_charge(charged.id)).undone
            assert (await purse.refund(charged.id)).amount == Decimal("11.5")
            assert (await purse.find_charge(charged.id)).undone
            assert (await purse.balance(ACCOUNT)).available == 100

    asyncio.run(main())


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8402", "localhost", "ftp://127.0.0.1", "http://", "http:///v1", "//host"]
)
@pytest.mark.parametrize("client", [Credits, AsyncCredits])
def test_what_no_request_could_be_sent_to_is_refused_at_once(
    client: type[Credits] | type[AsyncCredits], url: str
) -> None:
    with pytest.raises(ValueError, match="no URL"):
        client(url, "ck_key")


@pytest.mark.parametrize("client", [Credits, AsyncCredits])
def test_no_api_key_at_all_is_refused_at_once(client: type[Credits] | type[AsyncCredits]) -> None:
    """Sent, it would look like an outage, and calls would be let pass for nothing."""
    with pytest.raises(ValueError, match="api_key is empty"):
        client("http://127.0.0.1:8402", "")


@pytest.mark.parametrize(
    "api_key",
    ["ck_secret\n", " ck_secret", "ck_secret ", "ck_ secret", "ck_sécret", "ck_\x00secret"],
)
def test_a_mangled_api_key_is_refused_without_showing_it(api_key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as refused:
        AsyncCredits("http://127.0.0.1", api_key)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\nb"])
def test_what_cannot_be_a_key_is_refused_before_anything_is_sent(key: str) -> None:
    async def main() -> None:
        async with line_to(StandIn()) as (purse, line):
            with pytest.raises(ValueError, match="printable ASCII"):
                await purse.refund("chg_0", key=key)
            assert line.requests == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ([], None),
        ([b"abc"], "abc"),
        ([b' "abc" '], "abc"),
        ([rb'"a\"b\\c"'], 'a"b\\c'),
        ([b'"abc'], '"abc'),
        ([b"a", b"b"], "a, b"),
        ([b""], ""),
    ],
)
def test_the_callers_key_is_read_bare_and_quoted(sent: list[bytes], key: str | None) -> None:
    scope = {"headers": [(b"host", b"app"), *((b"idempotency-key", value) for value in sent)]}
    assert caller_key(scope) == key


def test_problems_are_kept_as_they_came() -> None:
    async def main() -> None:
        body = json.dumps({"type": "/problems/x", "title": "X", "extra": {"deep": [1]}}).encode()
        async with line_to(StandIn(), answers(409, body)) as (purse, _):
            with pytest.raises(Refused) as refused:
                await purse.charge(ACCOUNT, "chat")
            assert json.loads(body) == refused.value.problem

    asyncio.run(main())


CHARGE = {"id": "chg_1", "at": "2026-01-01T00:00:00Z", "cost": "12", "available": "1", "new": [2]}


@pytest.mark.parametrize("extra", [{}, {"reserved": "0", "most_affordable_units": None}])
def test_what_is_new_in_an_answer_is_let_be(extra: dict[str, object]) -> None:
    async def main() -> None:
        body = json.dumps({**CHARGE, **extra}).encode()
        async with line_to(StandIn(), answers(201, body, credits_version="7")) as (purse, _):
            assert (await purse.charge(ACCOUNT, "chat")).id == "chg_1"

    asyncio.run(main())
