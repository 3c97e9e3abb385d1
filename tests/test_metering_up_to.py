"""The middleware that holds credits while a request runs, against creditd itself."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from conftest import run
from creditd_client import LostSettlement
from creditd_client.metering import reserving
from creditd_client.wire import attempts
from streaming_app import MOST, Stall, stall
from till import EARNED, NONE

Story = Callable[[Stall], Awaitable[None]]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", (0.01,) * len(attempts.BACKOFF_SECONDS))


def tell(
    database_url: str,
    story: Story,
    *,
    expires_in: int = 60,
    minimum: Decimal = NONE,
    over_max: Decimal = NONE,
    max_units: int = MOST,
) -> None:
    async def main() -> None:
        async with stall(
            database_url,
            expires_in=expires_in,
            minimum=minimum,
            over_max=over_max,
            max_units=max_units,
        ) as s:
            await story(s)

    asyncio.run(main())


def test_what_a_request_says_it_used_is_taken_and_no_more(database_url: str) -> None:
    async def story(s: Stall) -> None:
        answer = await s.get("/uses-4")
        assert answer.status_code == 200
        assert answer.headers["credits-balance"] == "15"
        assert await s.has() == (EARNED - 2, NONE)
        await s.get("/costs-3")
        assert await s.has() == (EARNED - 5, NONE)
        await s.get("/uses-none")
        assert await s.has() == (EARNED - 5, NONE)
        await s.get("/says-nothing")
        assert await s.has() == (EARNED - 10, NONE)
        await s.get("/costs-a-trifle")
        assert await s.has() == (EARNED - 10 - Decimal("0.000001"), NONE)
        assert s.lost == []

    tell(database_url, story)


def test_what_fails_is_released(database_url: str) -> None:
    async def story(s: Stall) -> None:
        failed = await s.get("/fails")
        assert (failed.status_code, failed.headers["credits-balance"]) == (500, "20")
        assert await s.has() == (EARNED, NONE)
        assert (await s.get("/raises")).status_code == 500
        assert await s.has() == (EARNED, NONE)
        with pytest.raises(Exception, match="peer closed"):
            await s.get("/breaks-off")
        assert await s.has() == (EARNED, NONE)
        assert s.app.runs == 3

    tell(database_url, story)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/streams-4?gone", Decimal(2)),
        ("/streams?gone", Decimal("0.5")),
        ("/notices-4", Decimal(2)),
        ("/notices", NONE),
    ],
)
def test_a_caller_who_hangs_up_pays_what_was_used_until_then(
    database_url: str, path: str, taken: Decimal
) -> None:
    async def story(s: Stall) -> None:
        await s.web.call_and_hang_up(path, s.app.began)
        s.app.go_on.set()
        assert await s.has() == (EARNED - taken, NONE)

    tell(database_url, story)


def test_a_stream_that_is_cut_short_costs_its_minimum_at_least(database_url: str) -> None:
    async def story(s: Stall) -> None:
        await s.web.call_and_hang_up("/streams?gone", s.app.began)
        assert s.till.row("select minimum, amount from creditd.reservation") == (10**6, 5 * 10**6)
        s.app.go_on.set()
        assert await s.has() == (EARNED - 1, NONE)

    tell(database_url, story, minimum=Decimal(1))


def test_a_long_stream_is_held_beyond_its_time(database_url: str) -> None:
    async def story(s: Stall) -> None:
        asking = asyncio.create_task(s.get("/streams-4"))
        await s.app.began.wait()
        ((first,),) = [s.till.row("select expires_at from creditd.reservation")]
        s.till.line.loses("lost before")
        await s.till.line.seen("/extend", 5)
        while (await asyncio.to_thread(s.till.row, "select clock_timestamp()"))[0] < first:
            await s.till.line.seen("/extend", s.till.line.count("/extend") + 1)
        s.app.go_on.set()
        assert (await asking).content == b"halfand half"
        assert await s.has() == (EARNED - 2, NONE)
        assert s.lost == []

    tell(database_url, story, expires_in=1)


def test_answers_that_are_lost_on_the_way_make_no_difference(database_url: str) -> None:
    async def story(s: Stall) -> None:
        s.till.line.loses("lost after", "passes", "passes", "lost after")
        assert (await s.get("/uses-4")).status_code == 200
        s.till.line.loses("lost before", "passes", "lost after")
        assert (await s.get("/fails")).status_code == 500
        assert await s.has() == (EARNED - 2, NONE)
        assert s.lost == []

    tell(database_url, story)


def test_a_settlement_that_cannot_be_made_is_told_and_can_be_made_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reserving, "ENDING_SECONDS_MAX", 0.5)

    async def story(s: Stall) -> None:
        asking = asyncio.create_task(s.get("/streams-4"))
        await s.app.began.wait()
        s.till.line.down = True
        s.app.go_on.set()
        assert (await asking).status_code == 200
        await asyncio.gather(s.has(), return_exceptions=True)
        (lost,) = s.lost
        assert isinstance(lost, LostSettlement)
        assert (lost.amount, lost.units, lost.at_least) == (None, 4, None)
        assert await s.has() == (EARNED - 5, Decimal(5))
        for _ in range(2):
            await s.till.direct.settle(
                lost.reservation,
                lost.amount,
                units=lost.units,
                at_least=lost.at_least,
                key=lost.key,
            )
        assert await s.has() == (EARNED - 2, NONE)

    tell(database_url, story)


def test_what_cost_more_than_may_be_taken_is_taken_up_to_that_and_told(database_url: str) -> None:
    async def story(s: Stall) -> None:
        assert (await s.get("/costs-30")).status_code == 200
        assert await s.has() == (EARNED - 7, NONE)
        assert [lost.reason for lost in s.lost] == ["it cost 30 credits and at most 7 can be taken"]
        # Of the 6 left, 5 are held: one of the 2 more that it may take is not there.
        await s.till.direct.charge(s.till.account, "tokens", 14)
        assert (await s.get("/costs-30")).status_code == 200
        assert await s.has() == (Decimal(1), NONE)
        assert "402" in s.lost[-1].reason

    tell(database_url, story, over_max=Decimal(2))


def test_more_units_than_are_held_are_taken_up_to_that_and_told(database_url: str) -> None:
    async def story(s: Stall) -> None:
        assert (await s.get("/uses-30")).status_code == 200
        assert await s.has() == (EARNED - 7, NONE)
        (lost,) = s.lost
        assert isinstance(lost, LostSettlement)
        assert (lost.units, lost.amount) == (30, None)
        assert "from 0 to 7" in lost.reason

    tell(database_url, story, over_max=Decimal(2))


def test_units_cost_what_they_did_when_they_were_held(database_url: str) -> None:
    async def story(s: Stall) -> None:
        asking = asyncio.create_task(s.get("/streams-4"))
        await s.app.began.wait()
        await asyncio.to_thread(
            run,
            database_url,
            "update creditd.price set ends_at = now();"
            " insert into creditd.price (operation_id, version, base, per_unit, unit)"
            " select operation_id, 2, 9000000, 9000000, 'unit' from creditd.operation"
            " where name = 'tokens'",
        )
        s.app.go_on.set()
        assert (await asking).status_code == 200
        assert await s.has() == (EARNED - 2, NONE)
        assert s.lost == []
        assert s.till.line.count("/quotes") == 0

    tell(database_url, story)


def test_a_402_is_creditds_own(database_url: str) -> None:
    async def story(s: Stall) -> None:
        answer = await s.get("/uses-4")
        assert answer.status_code == 402
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["credits-balance"] == "20"
        assert answer.headers["credits-cost"] == "50"
        problem = answer.json()
        assert problem["type"].endswith("/insufficient-credits")
        assert (problem["required"], problem["missing"]) == ("50", "30")
        assert problem["remedies"]
        assert s.app.runs == 0

    tell(database_url, story, max_units=100)


def test_a_key_under_which_was_held_before_does_not_run_again(database_url: str) -> None:
    async def story(s: Stall) -> None:
        assert (await s.get("/uses-4", "k")).status_code == 200
        again = await s.get("/uses-4", "k")
        assert again.status_code == 409
        assert again.json()["type"] == "/problems/operation-was-reserved"
        assert again.json()["reservation"].startswith("rsv_")
        assert s.app.runs == 1
        assert await s.has() == (EARNED - 2, NONE)

    tell(database_url, story)
