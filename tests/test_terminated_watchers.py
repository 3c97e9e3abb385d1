"""A watcher that is ended at each step of what it writes: all of it is there, or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from books import Books as Tables
from conftest import CHAIN_ID
from followed_chain import Earned, FollowedChain, source
from proof_of_the_books import assert_sound
from stage import PLAIN, SECOND, Stage
from terminated_sessions import count_steps, ending_at

from ledger.errors import LedgerUnavailable
from ledger.outcomes import AccountOpened, Charged
from ledger.spending import Spending

STEPS_MAX = 400
CAP = 30

Ask = Callable[[], Awaitable[object]]


class Watched:
    """A chain that earns for new wallets, which spend what they are granted."""

    def __init__(self, stage: Stage, chain: FollowedChain, spending: Spending) -> None:
        self.stage = stage
        self.chain = chain
        self.spending = spending
        self.wallets = 0

    def wallet(self) -> bytes:
        self.wallets += 1
        return self.wallets.to_bytes(20)

    async def spend(self, wallet: bytes, units: int) -> None:
        opened = await self.spending.open_wallet_account(
            app_id=self.stage.app_id, chain_id=CHAIN_ID, address=wallet
        )
        outcome = await self.spending.charge(
            app_id=self.stage.app_id,
            account=opened.account,
            key="k",
            operation="unit",
            units=units,
        )
        assert isinstance(outcome, Charged)

    async def grown(self, *events: tuple[bytes, int]) -> None:
        tx = f"tx {len(self.chain.blocks)} of {self.wallets}"
        earned = [
            Earned(wallet, amount, tx, place) for place, (wallet, amount) in enumerate(events)
        ]
        await self.chain.grow(*earned, fork=tx)

    async def confirming(self) -> Ask:
        """Three grants of two wallets, one of them over its cap and one new to the books."""
        one, two = self.wallet(), self.wallet()
        await self.grown((one, 8), (two, 20), (two, 20))
        return self.chain.confirm

    async def growing(self) -> Ask:
        one, two = self.wallet(), self.wallet()

        async def ask() -> None:
            await self.grown((one, 8), (two, 20))

        return ask

    async def reversing(self) -> Ask:
        """Of what is reversed some is there, some spent; the debt is repaid by another grant."""
        one, two = self.wallet(), self.wallet()
        await self.grown((one, 8))
        await self.grown((one, 8), (two, 9))
        await self.chain.confirm()
        back_to = self.chain.blocks[-2]
        await self.spend(one, 12)
        await self.spend(two, 9)

        async def ask() -> None:
            await self.chain.reverse(back_to)

        return ask

    async def dropping(self) -> Ask:
        await self.grown()
        back_to = self.chain.blocks[-1]
        await self.grown((self.wallet(), 8), (self.wallet(), 9))

        async def ask() -> None:
            await self.chain.drop(back_to)

        return ask

    async def expiring(self) -> Ask:
        self.stage.wait(SECOND)
        for _ in range(2):
            account = self.stage.account(f"idle {self.wallet()!r}")
            self.stage.give(account, 5, replace(PLAIN, expires_at=self.stage.now + 1))
        self.stage.wait(SECOND)

        async def ask() -> None:
            assert await self.chain.watching.expire_idle(10) == 2

        return ask

    async def opening_an_account(self) -> Ask:
        name = f"named {self.wallet()!r}"

        async def ask() -> AccountOpened:
            return await self.spending.open_account(app_id=self.stage.app_id, name=name)

        return ask

    async def opening_a_wallet(self) -> Ask:
        address = self.wallet()

        async def ask() -> AccountOpened:
            return await self.spending.open_wallet_account(
                app_id=self.stage.app_id, chain_id=CHAIN_ID, address=address
            )

        return ask

    async def entering_a_source(self) -> Ask:
        rule = source(f"source {self.wallet()!r}", from_block=len(self.chain.blocks))

        async def ask() -> None:
            await self.chain.watching.enter_rules([source(cap_account=CAP), rule])

        return ask


async def ended_at_each_step(
    watched: Watched, prepared: Callable[[], Awaitable[Ask]], tables: Tables
) -> int:
    for step in range(1, STEPS_MAX):
        ask = await prepared()
        before = tables.contents()
        try:
            with ending_at(watched.stage, step):
                await ask()
        except LedgerUnavailable:
            assert tables.contents() == before, f"half done at step {step}"
            await ask()
            assert tables.contents() != before
        else:
            return step - 1
    raise AssertionError(f"more than {STEPS_MAX} steps")


@pytest.mark.parametrize(
    "writing",
    [
        Watched.growing,
        Watched.confirming,
        Watched.reversing,
        Watched.dropping,
        Watched.expiring,
        Watched.opening_an_account,
        Watched.opening_a_wallet,
        Watched.entering_a_source,
    ],
)
def test_what_is_ended_at_any_step_has_done_nothing_and_may_be_done_again(
    database_url: str, writing: Callable[[Watched], Awaitable[Ask]]
) -> None:
    async def main(stage: Stage, tables: Tables) -> int:
        async with (
            FollowedChain.lead(database_url, rule=source(cap_account=CAP)) as chain,
            Spending.open(database_url, lanes=1) as spending,
        ):
            await chain.grow()
            watched = Watched(stage, chain, spending)
            return await ended_at_each_step(watched, lambda: writing(watched), tables)

    with (
        Stage.on(database_url, pretended_time=True) as stage,
        Tables.open(database_url) as tables,
    ):
        count_steps(stage)
        assert asyncio.run(main(stage, tables)) >= 3
    assert_sound(database_url)
