"""The books at their edges: the largest numbers they hold, and who holds on to an account."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import psycopg
import pytest
from busy_book import ALICE, BOB
from busy_cast import CREDIT, Chain, entry_of, follow
from conftest import fake_hash
from live_api import waits_for_lock
from scene import until
from town import Town

from ledger.audit import audit
from ledger.connecting import CONNECT_TIMEOUT_SECONDS, LOCK_WAIT_SECONDS, connect
from ledger.credits import MICRO_MAX
from ledger.errors import LedgerBusy
from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.outcomes import Charged, ChargeOutcome, PriceChanged, Refunded, TooExpensive
from ledger.price_book import PriceRow
from ledger.spending import Spending
from ledger.watching import Watching

GRANT = MICRO_MAX // 4
CYCLES_MAX = 20  # many more than the totals of an account have room for


async def open_shop(database_url: str) -> int:
    async with Operating.open(database_url) as operating:
        await operating.create_app_key(
            app="shop", scopes=["charge:write"], digest=fake_hash("key"), hint="cd_…x"
        )
        await operating.apply_prices(
            [PriceRow("all", GRANT, 0, ""), PriceRow("one", CREDIT, 0, "")]
        )
    return 1


async def charged(
    spending: Spending, account: AccountRef, key: str, operation: str
) -> ChargeOutcome:
    return await spending.charge(app_id=1, account=account, key=key, operation=operation, units=1)


async def wallet_account(spending: Spending, wallet: bytes) -> AccountRef:
    opened = await spending.open_wallet_account(app_id=1, chain_id=1, address=wallet)
    return opened.account


async def spend_and_give_back(spending: Spending, account: AccountRef) -> int:
    """Charge all there is and give it back, until a charge is refused. Returns how often."""
    for cycle in range(CYCLES_MAX):
        outcome = await charged(spending, account, f"charge {cycle}", "all")
        if not isinstance(outcome, Charged):
            assert outcome == TooExpensive()
            return cycle
        back = await spending.refund(
            app_id=1, charge=outcome.charge.movement, key=f"refund {cycle}", amount=None
        )
        assert isinstance(back, Refunded)
    return CYCLES_MAX


def test_an_account_that_has_spent_all_the_books_hold_stops_neither_its_chain_nor_its_refunds(
    database_url: str,
) -> None:
    async def main() -> None:
        await open_shop(database_url)
        async with (
            Watching.lead(database_url, entry_of(1), "test") as watching,
            Spending.open(database_url) as spending,
        ):
            chain: Chain = await follow(watching, 1)
            alice = await wallet_account(spending, ALICE)
            bob = await wallet_account(spending, BOB)
            start = await chain.block(chain.event("plain", ALICE, GRANT))
            assert await spend_and_give_back(spending, alice) == 5
            for _ in range(5):  # more than one account is ever granted
                await chain.block(chain.event("plain", ALICE, GRANT))
            await chain.block(chain.event("plain", BOB, CREDIT))
            assert isinstance(await charged(spending, bob, "bob's", "one"), Charged)
            await chain.leave(start, confirmed=True)
        assert (await audit(database_url)).balanced

    asyncio.run(main())


class Held(NamedTuple):
    """A shop whose charges share one lane, and two who earned a credit. One's account is held."""

    spending: Spending
    alice: AccountRef  # held by another session until that rolls back
    bob: AccountRef
    holder: psycopg.AsyncConnection


@asynccontextmanager
async def held_account(database_url: str) -> AsyncIterator[Held]:
    """Another session holds an account; at the end the books must balance."""
    await open_shop(database_url)
    async with (
        Watching.lead(database_url, entry_of(1), "test") as watching,
        Spending.open(database_url, lanes=1) as spending,
        await psycopg.AsyncConnection.connect(database_url) as holder,
    ):
        chain = await follow(watching, 1)
        await chain.block(*(chain.event("plain", wallet, CREDIT) for wallet in (ALICE, BOB)))
        alice = await wallet_account(spending, ALICE)
        bob = await wallet_account(spending, BOB)
        await holder.execute(
            "select from creditd.account where account_id = %s for update", (alice.account_id,)
        )
        yield Held(spending, alice, bob, holder)
        await holder.rollback()
    assert (await audit(database_url)).balanced


def test_a_session_that_hangs_with_an_account_holds_up_charges_for_a_bounded_time(
    database_url: str,
) -> None:
    async def main() -> None:
        async with held_account(database_url) as (spending, alice, bob, holder):
            began = time.monotonic()
            held = asyncio.create_task(charged(spending, alice, "alice's", "one"))
            # Its batch is on its way before the next charge arrives.
            waits = partial(waits_for_lock, database_url)
            await until("a wait for the lock", waits, LOCK_WAIT_SECONDS / 2)
            behind = asyncio.create_task(charged(spending, bob, "bob's", "one"))
            with pytest.raises(LedgerBusy, match="held by another session"):
                await held
            await asyncio.wait({behind}, timeout=2 * LOCK_WAIT_SECONDS)
            assert time.monotonic() - began < 2 * LOCK_WAIT_SECONDS + 1
            await holder.rollback()
            made = await charged(spending, alice, "alice's", "one")
            assert isinstance(made, Charged)
            assert not made.replayed
            assert isinstance(await behind, Charged)

    asyncio.run(main())


def test_a_held_account_does_not_fail_its_neighbours_in_the_batch(database_url: str) -> None:
    async def main() -> None:
        async with held_account(database_url) as (spending, alice, bob, _):
            one, two, bobs = await asyncio.gather(
                charged(spending, alice, "one", "one"),
                charged(spending, alice, "two", "one"),
                charged(spending, bob, "bob's", "one"),
                return_exceptions=True,
            )
            assert isinstance(one, LedgerBusy)
            assert isinstance(two, LedgerBusy)
            assert isinstance(bobs, Charged)

    asyncio.run(main())


def test_a_price_version_that_never_was_is_not_in_force_and_harms_nobody(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            town.grant(user, 1)
            for version in (0, -1, 2**40, -(2**40)):
                outcome = await town.spending.charge(
                    app_id=1,
                    account=user,
                    key="k",
                    operation="unit",
                    units=1,
                    price_version=version,
                )
                assert outcome == PriceChanged(in_force=1)
            await town.sell(user, 1, "k")

    asyncio.run(main())


def test_sessions_notice_a_database_that_went_without_a_word(database_url: str) -> None:
    async def main() -> None:
        connection = await connect(database_url, "creditd_api")
        try:
            told = connection.info.get_parameters()
        finally:
            await connection.close()
        silence = int(told["keepalives_idle"]) + int(told["keepalives_interval"]) * int(
            told["keepalives_count"]
        )
        assert silence < 3 * CONNECT_TIMEOUT_SECONDS
        assert int(told["tcp_user_timeout"]) < 3_000 * CONNECT_TIMEOUT_SECONDS

    asyncio.run(main())
