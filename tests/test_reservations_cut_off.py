"""Reservations whose session ends under them: the same key, again, tells or does it once."""

import asyncio
import random

import psycopg
import pytest
from live_api import waits_for_lock
from proof_of_the_books import assert_sound
from reserving_shop import ReservingShop, play
from scene import until

from ledger.errors import LedgerUnavailable
from ledger.ids import MovementRef
from ledger.outcomes import Reserved, Settled

TRIES_MAX = 50


def test_a_settlement_whose_session_is_cut_off_is_made_once_by_its_key(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 8)
        with psycopg.connect(database_url) as other:
            other.execute("select from creditd.account for update")
            waiting = asyncio.create_task(shop.settle(hold, 5, "s"))
            await until("the lock", lambda: waits_for_lock(database_url), 10)
            shop.town.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
                " and query like '%%creditd.settle%%'"
            )
            with pytest.raises(LedgerUnavailable):
                await waiting
            other.rollback()
        assert shop.has(account) == (2, 8, 0)
        outcome = await shop.settle(hold, 5, "s")
        assert isinstance(outcome, Settled)
        assert not outcome.replayed
        assert await shop.settle(hold, 5, "s") == Settled(outcome.ending, replayed=True)

    play(database_url, story)


def test_reservations_cut_off_anywhere_are_each_made_and_ended_once(database_url: str) -> None:
    rng = random.Random(9)
    cut = 0

    async def story(shop: ReservingShop) -> None:
        account = await shop.user(5_000, 5_000)

        async def insist(key: str) -> None:
            nonlocal cut
            hold: MovementRef | None = None
            for _ in range(TRIES_MAX):
                try:
                    if hold is None:
                        outcome = await shop.reserve(account, 10, key=key)
                        assert isinstance(outcome, Reserved)
                        hold = outcome.reservation.movement
                    ended = await shop.settle(hold, 4, f"{key} settled")
                except LedgerUnavailable:
                    cut += 1
                    await asyncio.sleep(0.01)
                    continue
                assert isinstance(ended, Settled)
                return
            raise AssertionError("the database is never there")

        async def cut_off() -> None:
            for _ in range(15):
                await asyncio.sleep(rng.uniform(0, 0.04))
                await asyncio.to_thread(
                    shop.town.rows,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                    " and query ~ 'creditd.(reserve|settle)'",
                )

        cutting = asyncio.create_task(cut_off())
        number = 0
        while not cutting.done():
            await asyncio.gather(*(insist(f"{number}-{each}") for each in range(6)))
            number += 1
        await cutting
        assert cut > 0
        assert shop.has(account) == (10_000 - 6 * number * 4, 0, 0)
        ((reservations,),) = shop.town.rows("select count(*) from creditd.reservation")
        assert reservations == 6 * number

    play(database_url, story)
    assert_sound(database_url)
