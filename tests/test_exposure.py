"""Exposure: what is said of a reorg beforehand is what it then does."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

from conftest import CHAIN_ID
from followed_chain import Earned, FollowedChain, source
from selling_app import SellingApp
from stage import SECOND, Stage

from daemon.command_line.exposure_report import exposure_as_json, exposure_as_text
from ledger.exposure import Exposure, ExposureReport, exposure
from ledger.ids import format_account
from ledger.outcomes import Reserved
from ledger.reserving import Reserving

ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
CHAIN = f"chain-{CHAIN_ID}"
DAY = 86_400  # seconds


async def report(database_url: str, block: int) -> ExposureReport:
    found = await exposure(database_url, CHAIN, block, role="creditd_reader")
    assert found is not None
    return found


def test_it_is_what_a_reversal_then_takes(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow(Earned(ALICE, 5, "stays"))
            await chain.grow(Earned(ALICE, 100, "a"), Earned(BOB, 50, "b"))
            await chain.grow(Earned(ALICE, 10, "later"))
            await chain.confirm()
            alice, bob = await app.account_of(ALICE), await app.account_of(BOB)
            await app.sell(alice, 65, "k")  # 5 of what stays
            assert await report(database_url, 1) == ExposureReport(
                {alice: Exposure(50, 60, 0, 0), bob: Exposure(50, 0, 0, 0)},
                Exposure(100, 60, 0, 0),
            )
            assert (await report(database_url, 2)).accounts == {alice: Exposure(10, 0, 0, 0)}
            assert (await report(database_url, 3)) == ExposureReport({}, Exposure())
            await chain.reverse(stays)
            balance = await app.has(alice)
            assert (balance.available, balance.debt) == (0, 60)
            assert (await app.has(bob)).available == 0
            assert (await report(database_url, 1)) == ExposureReport({}, Exposure())

    asyncio.run(main())


def test_what_has_moved_and_what_is_reserved_is_told_where_it_is(database_url: str) -> None:
    async def main() -> None:
        rule = replace(source(), on_reversal="absorb")
        async with (
            FollowedChain.lead(database_url, rule=rule) as chain,
            SellingApp.open(database_url) as app,
            Reserving.open(database_url) as reserving,
        ):
            await chain.grow(Earned(ALICE, 100, "a"))
            await chain.confirm()
            alice = await app.account_of(ALICE)
            await app.sell(alice, 30, "k")
            user = (await app.spending.open_account(app_id=app.app_id, name="user")).account
            await app.link(ALICE, user)
            await app.sell(user, 15, "l")
            reserved = await reserving.reserve(
                app_id=app.app_id,
                account=user,
                key="r",
                operation="unit",
                units=20,
                expires_in=timedelta(hours=1),
            )
            assert isinstance(reserved, Reserved)
            found = await report(database_url, 0)
            assert found.accounts[alice] == Exposure(0, 0, 30, 0)
            assert found.accounts[user] == Exposure(35, 0, 15, 20)
            assert found.total == Exposure(35, 0, 45, 20)

    asyncio.run(main())


def test_what_has_ended_is_not_taken_back_and_what_was_spent_of_it_stays_spent(
    database_url: str,
) -> None:
    async def main() -> None:
        rule = source(expires_days=3)
        with Stage.on(database_url, pretended_time=True) as stage:
            now = stage.now // SECOND
            async with (
                FollowedChain.lead(database_url, rule=rule) as chain,
                SellingApp.open(database_url) as app,
            ):
                await chain.grow(Earned(ALICE, 7, "over"), time=now - 3 * DAY)
                await chain.grow(Earned(ALICE, 100, "ending"), time=now - DAY)
                await chain.grow(Earned(ALICE, 5, "lasting"), time=now)
                await chain.confirm()
                alice = await app.account_of(ALICE)
                await app.sell(alice, 30, "k")
                assert (await report(database_url, 0)).total == Exposure(75, 30, 0, 0)
                stage.wait(2 * DAY * SECOND)
                foreseen = (await report(database_url, 0)).total
                assert foreseen == Exposure(5, 30, 0, 0)
                await chain.watching.expire_idle(10)
                assert (await report(database_url, 0)).total == foreseen
                await chain.reverse(chain.blocks[0])
                assert (await app.has(alice)).debt == 30

    asyncio.run(main())


def test_a_chain_that_the_books_do_not_know_has_none(database_url: str) -> None:
    assert asyncio.run(exposure(database_url, "nowhere", 0)) is None


def test_it_is_told_in_credits(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 2_500_000, "a"))
            await chain.confirm()
            name = format_account(await app.account_of(ALICE))
            found = await report(database_url, 0)
            assert json.loads(exposure_as_json(found)) == {
                "total": {"taken_back": "2.5", "owed": "0", "absorbed": "0", "reserved": "0"},
                "accounts": [
                    {
                        "account": name,
                        "taken_back": "2.5",
                        "owed": "0",
                        "absorbed": "0",
                        "reserved": "0",
                    }
                ],
            }
            lines = exposure_as_text(found).splitlines()
            assert [line.split()[0] for line in lines] == ["account", name, "all"]
            assert len({len(line) for line in lines}) == 1

    asyncio.run(main())
