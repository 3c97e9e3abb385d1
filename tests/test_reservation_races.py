"""Many at once on the same reservations: one end each, nothing held twice, nothing overspent."""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from proof_of_the_books import assert_sound
from reserving_shop import HOUR, START, ReservingShop, play

from ledger.errors import LedgerBusy
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AlreadyEnded,
    Charged,
    Ending,
    Extended,
    KeyReused,
    NotCoveredBeyond,
    OverBound,
    Released,
    Reserved,
    Settled,
)
from ledger.reserving import WAITING_MAX, Reserving

HERE = Path(__file__).parent
PROCESSES = 3
SECOND = HOUR / 3_600


@asynccontextmanager
async def reserver(database_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "reserver.py"), database_url),
        env=environ,
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def sessions(database_url: str, count: int) -> AsyncIterator[list[Reserving]]:
    """Ways in that do not wait for each other."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Reserving.open(database_url, sessions=1))
            for _ in range(count)
        ]


def test_processes_that_reserve_at_once_never_hold_more_than_there_is(database_url: str) -> None:
    rng = random.Random(5)

    async def story(shop: ReservingShop) -> None:
        account = await shop.user(100, 100, 100, 100)
        async with AsyncExitStack() as stack:
            processes = [
                await stack.enter_async_context(reserver(database_url)) for _ in range(PROCESSES)
            ]
            for number, process in enumerate(processes):
                assert process.stdin is not None
                holds = [(f"{number}-{each}", rng.randint(1, 20)) for each in range(40)]
                told = {"app_id": 1, **account._asdict(), "holds": holds, "settle": 3}
                process.stdin.write(json.dumps(told).encode() + b"\n")
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            reports = [json.loads((await process.communicate())[0]) for process in processes]
        total = Counter[str]()
        for report in reports:
            total.update(report)
        assert total["refused"] > 0
        assert shop.has(account) == (400 - total["held"] - total["taken"], total["held"], 0)

    play(database_url, story)
    assert_sound(database_url)


def test_one_key_from_everywhere_at_once_holds_once_and_is_answered_alike(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(1_000)
        async with sessions(database_url, 8) as ways:
            outcomes = await asyncio.gather(
                *(
                    way.reserve(
                        app_id=1,
                        account=account,
                        key="the key",
                        operation="unit",
                        units=units,
                        expires_in=HOUR,
                    )
                    for way in ways
                    for units in (30, 30, 31)
                )
            )
        made = [outcome for outcome in outcomes if isinstance(outcome, Reserved)]
        assert sum(not outcome.replayed for outcome in made) == 1
        assert len({outcome.reservation for outcome in made}) == 1
        assert outcomes.count(KeyReused()) == len(outcomes) - len(made)
        (amount,) = {outcome.reservation.amount for outcome in made}
        assert shop.has(account) == (1_000 - amount, amount, 0)

    play(database_url, story)
    assert_sound(database_url)


def test_a_charge_and_a_reservation_under_one_key_at_once_are_one(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(1_000)
        async with sessions(database_url, 2) as (way, _):
            for number in range(40):
                charge, hold = await asyncio.gather(
                    shop.town.charge(account, 1, f"k{number}"),
                    way.reserve(
                        app_id=1,
                        account=account,
                        key=f"k{number}",
                        operation="unit",
                        units=1,
                        expires_in=HOUR,
                    ),
                )
                assert isinstance(charge, Charged) != isinstance(hold, Reserved)
                assert KeyReused() in {charge, hold}
        available, held, _ = shop.has(account)
        assert available == 960
        assert held <= 40

    play(database_url, story)
    assert_sound(database_url)


def one_end(outcomes: Sequence[object]) -> Ending:
    """Of all that came at once, one ended the reservation; all the others were told of that end."""
    new = [o for o in outcomes if isinstance(o, (Settled, Released)) and not o.replayed]
    ends = {o.ending for o in outcomes if isinstance(o, (Settled, Released, AlreadyEnded))}
    assert len(ends) == 1, outcomes
    (end,) = ends
    assert len(new) == (0 if end.how == "expired" else 1), outcomes
    for outcome in outcomes:
        match outcome:
            case Settled(ending) | Released(ending):
                assert ending.how == type(outcome).__name__.lower()
            case _:
                assert isinstance(outcome, (AlreadyEnded, Extended)), outcome
    return end


async def soon(rng: random.Random, asked: Awaitable[object]) -> object:
    await asyncio.sleep(rng.uniform(0, 0.006))
    return await asked


def test_settling_releasing_extending_and_the_clock_at_once_are_one_end(
    database_url: str,
) -> None:
    rng = random.Random(3)
    found = Counter[str]()

    async def story(shop: ReservingShop) -> None:
        account = await shop.user(50, 50)
        with psycopg.connect(database_url, autocommit=True) as job:

            def time_passes() -> None:
                job.execute("update shop_test.clock set at = %s", (shop.now,))
                job.execute("select creditd.expire_reservations(10)")

            async with sessions(database_url, 5) as ways:
                for number in range(60):
                    if shop.has(account)[0] < 20:
                        shop.town.grant(account, 60)
                    hold = await shop.hold(account, 12, lasts=SECOND, minimum=3)
                    shop.now += SECOND
                    asked = [
                        ways[0].settle(app_id=1, reservation=hold, key=f"s{number}", amount=7),
                        ways[1].settle(app_id=1, reservation=hold, key=f"t{number}", amount=7),
                        ways[2].settle(app_id=1, reservation=hold, key=f"u{number}", amount=8),
                        ways[3].release(app_id=1, reservation=hold, key=f"r{number}"),
                        ways[4].extend(app_id=1, reservation=hold, until=START),
                        ways[4].release(app_id=1, reservation=hold, key=f"q{number}"),
                    ]
                    *outcomes, _ = await asyncio.gather(
                        *(soon(rng, each) for each in asked),
                        soon(rng, asyncio.to_thread(time_passes)),
                    )
                    end = one_end(outcomes)
                    found[f"{end.how} {end.taken}"] += 1
                    assert shop.has(account)[1] == 0

    play(database_url, story)
    assert_sound(database_url)
    assert {"settled 7", "released 0", "expired 3"} <= set(found), found


def test_two_settlements_of_all_there_is_beyond_do_not_take_it_twice(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        async with sessions(database_url, 2) as ways:
            for number in range(25):
                account = await shop.user(30)
                holds = [await shop.hold(account, 10, over_max=10) for _ in range(2)]
                outcomes = await asyncio.gather(
                    *(
                        way.settle(
                            app_id=1, reservation=hold, key=f"s{number}-{hold.seq}", amount=18
                        )
                        for way, hold in zip(ways, holds, strict=True)
                    )
                )
                assert sum(isinstance(each, Settled) for each in outcomes) == 1
                assert NotCoveredBeyond(8, 2, 0) in outcomes
                assert shop.has(account) == (2, 10, 0)

    play(database_url, story)
    assert_sound(database_url)


def test_refunds_of_a_settlement_at_once_give_back_no_more_than_it_took(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        ending = await shop.settled(await shop.hold(account, 15, over_max=5), 18)
        outcomes = await asyncio.gather(
            *(shop.refund(ending.movement, 4, f"r{number}") for number in range(8))
        )
        assert Counter(type(each).__name__ for each in outcomes) == {
            "Refunded": 4,
            "MoreThanTaken": 4,
        }
        assert shop.has(account) == (18, 0, 0)

    play(database_url, story)
    assert_sound(database_url)


@dataclass
class Crowd:
    """Who does anything at all to a few accounts."""

    shop: ReservingShop
    rng: random.Random
    accounts: list[AccountRef]
    holds: list[MovementRef]
    charges: list[MovementRef] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    async def keeps_acting(self, name: int, way: Reserving) -> None:
        for number in range(60):
            outcome = await self._acts(way, f"{name}-{number}")
            self.done[type(outcome).__name__] += 1
            match outcome:
                case Reserved(made):
                    self.holds.append(made.movement)
                case Settled(Ending(movement=movement)):
                    self.charges.append(movement)
                case Charged(charge):
                    self.charges.append(charge.movement)

    async def _acts(self, way: Reserving, key: str) -> object:
        rng, shop = self.rng, self.shop
        account, hold = rng.choice(self.accounts), rng.choice(self.holds)
        which = rng.randrange(10)
        if which < 3:
            return await way.reserve(
                app_id=1,
                account=account,
                key=key,
                operation="unit",
                units=rng.randint(1, 25),
                expires_in=rng.choice((SECOND, HOUR)),
                minimum=rng.choice((0, 4)),
                over_max=rng.choice((0, 9)),
            )
        if which < 6:
            amount = rng.randint(0, 30)
            return await way.settle(app_id=1, reservation=hold, key=key, amount=amount)
        if which == 6:
            return await way.release(app_id=1, reservation=hold, key=key)
        if which == 7:
            return await shop.town.charge(account, rng.randint(1, 15), key)
        if which == 8 and self.charges:
            return await shop.refund(rng.choice(self.charges), rng.choice((None, 3)), key)
        return await asyncio.to_thread(shop.tidy)

    async def lets_time_pass(self) -> None:
        lots = [(account, lot) for account in self.accounts for lot in (1, 2)]
        for number in range(30):
            await asyncio.to_thread(self.shop.wait, SECOND / 3)
            await asyncio.to_thread(self.shop.town.grant, self.rng.choice(self.accounts), 20)
            if number % 8 == 7:
                lost = lots.pop(self.rng.randrange(len(lots)))
                await asyncio.to_thread(self.shop.reverse, *lost)


def test_whatever_is_done_at_once_the_books_add_up(database_url: str) -> None:
    done = Counter[str]()

    async def story(shop: ReservingShop) -> None:
        accounts = [await shop.user(40, 40) for _ in range(3)]
        holds = [await shop.hold(account, 5) for account in accounts]
        crowd = Crowd(shop, random.Random(17), accounts, holds)
        async with sessions(database_url, 6) as ways:
            await asyncio.gather(
                crowd.lets_time_pass(),
                *(crowd.keeps_acting(name, way) for name, way in enumerate(ways)),
            )
        done.update(crowd.done)

    play(database_url, story)
    assert_sound(database_url)
    assert {"Reserved", "Settled", "Released", "AlreadyEnded", "Charged", "Refunded"} <= set(done)


def test_who_would_wait_too_long_is_sent_away(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        async with sessions(database_url, 1) as (way,):
            outcomes = await asyncio.gather(
                *(
                    way.settle(app_id=1, reservation=hold, key=f"s{number}", amount=9)
                    for number in range(WAITING_MAX + 5)
                ),
                return_exceptions=True,
            )
        assert sum(isinstance(each, LedgerBusy) for each in outcomes) == 5
        assert outcomes.count(OverBound(8)) == WAITING_MAX

    play(database_url, story)
