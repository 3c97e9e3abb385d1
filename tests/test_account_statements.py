"""What an account's statement shows: its entries, earnings and charges; and what they refer to."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from conftest import CHAIN_ID, fake_hash
from followed_chain import FIRST_BLOCK_TIME, Earned, FollowedChain, source
from selling_app import SellingApp

from ledger.ids import AccountRef, MovementRef
from ledger.operating import Operating
from ledger.outcomes import Charge, Charged
from ledger.price_book import PriceRow
from ledger.reading import (
    PAGE_MAX,
    ChargeRow,
    EarningCursor,
    EarningRow,
    EntryRow,
    GrantOrigin,
    Reading,
)

ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
UINT256_MAX = 2**256 - 1


async def all_entries(app: SellingApp, account: AccountRef) -> list[EntryRow]:
    return await app.reading.entries(account, before_seq=None, limit=PAGE_MAX)


async def all_earnings(app: SellingApp, account: AccountRef) -> list[EarningRow]:
    return await app.reading.earnings(account, before=None, limit=PAGE_MAX)


def as_made(row: ChargeRow) -> Charge:
    """A charge that nobody reserved for, as who made it was told."""
    return Charge(
        **{name: getattr(row, name) for name in Charge.__struct_fields__},
    )


def told(entries: list[EntryRow]) -> list[tuple[int, str, int, int, int, int, int | None]]:
    return [
        (
            *(row.seq, row.kind, row.amount, row.available_after, row.debt_after),
            *(row.movement, row.refers_to),
        )
        for row in entries
    ]


def test_entries_tell_what_was_done_newest_first(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow(Earned(ALICE, 5, "one"))
            await chain.grow(Earned(ALICE, 3, "two"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            charge = await app.sell(account, 6, "a")
            await app.give_back(charge, 2, "b")
            await chain.reverse(stays)
            await chain.grow(Earned(ALICE, 1, "three"), fork="b")
            await chain.confirm()
            entries = await all_entries(app, account)
            assert told(entries) == [
                (8, "grant", 1, 2, 0, 8, None),
                (7, "reversal", 3, 1, 0, 7, None),
                (6, "refund", 1, 4, 0, 5, 3),
                (5, "refund", 1, 3, 0, 5, 3),
                (4, "charge", 1, 2, 0, 3, None),
                (3, "charge", 5, 3, 0, 3, None),
                (2, "grant", 3, 8, 0, 2, None),
                (1, "grant", 5, 5, 0, 1, None),
            ]
            named = [(row.seq, row.units, row.price_version) for row in entries if row.operation]
            assert named == [(3, 6, 1)]
            assert {row.operation for row in entries} == {"unit", None}
            times = [row.at for row in entries]
            assert times == sorted(times, reverse=True)
            assert all(at.tzinfo is not None for at in times)

    asyncio.run(main())


def test_a_grant_names_the_event_it_was_made_for(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one", ordinal=7))
            await chain.confirm()
            await chain.reverse(stays)
            await chain.grow(Earned(ALICE, 5, "one", ordinal=7), fork="b")
            await chain.confirm()
            entries = await all_entries(app, await app.account_of(ALICE))
            assert [(row.kind, row.grant) for row in entries] == [
                ("grant", GrantOrigin("stakes", CHAIN_ID, fake_hash("tx", "one"), 7, 2)),
                ("reversal", None),
                ("grant", GrantOrigin("stakes", CHAIN_ID, fake_hash("tx", "one"), 7, 1)),
            ]

    asyncio.run(main())


def test_pages_of_entries_follow_one_another_while_new_ones_come(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(*(Earned(ALICE, 1, f"tx {number}") for number in range(7)))
            await chain.confirm()
            account = await app.account_of(ALICE)
            seen: list[int] = []
            before: int | None = None
            for key in ("a", "b", "c"):
                page = await app.reading.entries(account, before_seq=before, limit=3)
                seen += [row.seq for row in page]
                before = seen[-1]
                await app.sell(account, 1, key)
            assert seen == [7, 6, 5, 4, 3, 2, 1]
            assert await app.reading.entries(account, before_seq=before, limit=3) == []

    asyncio.run(main())


@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1])
def test_a_page_without_a_bound_is_refused(database_url: str, limit: int) -> None:
    async def main() -> None:
        async with Reading.open(database_url) as reading:
            with pytest.raises(ValueError, match="between 1 and"):
                await reading.entries(AccountRef(1, 1), before_seq=None, limit=limit)
            with pytest.raises(ValueError, match="between 1 and"):
                await reading.earnings(AccountRef(1, 1), before=None, limit=limit)

    asyncio.run(main())


def test_any_number_is_a_position_in_a_list(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            for position, rows in ((2**70, 1), (2**63, 1), (1, 0), (0, 0), (-(2**70), 0)):
                cursor = EarningCursor(position)
                assert len(await app.reading.entries(account, before_seq=position, limit=9)) == rows
                assert len(await app.reading.earnings(account, before=cursor, limit=9)) == rows

    asyncio.run(main())


def test_an_earning_tells_its_event_and_how_far_it_is(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow()
            block = await chain.grow(
                Earned(BOB, 1, "other"),
                Earned(ALICE, 5, "one", ordinal=3, amount=UINT256_MAX),
                head_number=4,
            )
            account = await app.account_of(ALICE)
            (earning,) = await all_earnings(app, account)
            assert earning == EarningRow(
                cursor=earning.cursor,
                source="stakes",
                chain_id=CHAIN_ID,
                chain=f"chain-{CHAIN_ID}",
                role="earns",
                tx_hash=fake_hash("tx", "one"),
                ordinal=3,
                period_end=None,
                reward=None,
                block_number=1,
                block_hash=block.hash,
                block_time=datetime.fromtimestamp(FIRST_BLOCK_TIME + 1, UTC),
                wallet=ALICE,
                amount=UINT256_MAX,
                credits=5,
                state="pending",
                confirmations=3,
                confirmations_needed=2,
                due_block=None,
                ready_at=None,
                log_index=1,
                lot_no=None,
                incarnation=1,
            )

    asyncio.run(main())


def test_an_earning_is_pending_then_confirmed_then_reversed_and_may_come_back(
    database_url: str,
) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, rule=source(cap_account=4)) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(ALICE)

            async def state() -> tuple[str, int, int, int]:
                (row,) = await all_earnings(app, account)
                return row.state, row.credits, row.confirmations, row.incarnation

            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.grow()
            assert await state() == ("pending", 5, 1, 1)
            await chain.confirm()
            assert await state() == ("confirmed", 4, 1, 1)
            await chain.reverse(stays)
            assert await state() == ("reversed", 4, 0, 1)
            await chain.grow(fork="b")
            await chain.grow(Earned(ALICE, 5, "one"), fork="b")
            assert await state() == ("pending", 5, 0, 2)
            await chain.confirm()
            assert await state() == ("confirmed", 4, 0, 2)

    asyncio.run(main())


def test_an_earning_that_comes_back_and_goes_again_is_reversed_as_it_was(
    database_url: str,
) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            await chain.reverse(stays)
            account = await app.account_of(ALICE)
            (reversed_once,) = await all_earnings(app, account)
            await chain.grow(Earned(ALICE, 5, "one"), fork="b")
            await chain.drop(stays)
            (gone_again,) = await all_earnings(app, account)
            assert (gone_again.state, gone_again.credits, gone_again.incarnation) == (
                "reversed",
                reversed_once.credits,
                1,
            )

    asyncio.run(main())


def test_where_the_chain_says_what_is_final_no_number_of_confirmations_is_needed(
    database_url: str,
) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, depth=None) as chain,
            SellingApp.open(database_url) as app,
        ):
            await chain.grow(Earned(ALICE, 5, "one"), head_number=9)
            (earning,) = await all_earnings(app, await app.account_of(ALICE))
            assert (earning.confirmations, earning.confirmations_needed) == (9, None)

    asyncio.run(main())


def test_pages_of_earnings_hold_pending_and_confirmed_ones_in_one_order(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url) as chain,
            FollowedChain.lead(database_url, rule=source("mining"), chain_id=7) as other,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(ALICE)
            await app.link(ALICE, account, chain_id=7)
            for number in range(5):
                await chain.grow(Earned(ALICE, 1, f"stake {number}"))
                await other.grow(Earned(ALICE, 1, f"block {number}"))
            await chain.confirm()
            await other.confirm(other.blocks[1])
            seen: list[EarningRow] = []
            before: EarningCursor | None = None
            for _ in range(4):
                page = await app.reading.earnings(account, before=before, limit=3)
                seen += page
                before = page[-1].cursor
            assert [(row.chain_id, row.state) for row in seen] == [
                *((7, "pending"), (CHAIN_ID, "confirmed")) * 3,
                *((7, "confirmed"), (CHAIN_ID, "confirmed")) * 2,
            ]
            assert [row.block_number for row in seen] == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
            assert await app.reading.earnings(account, before=before, limit=3) == []

    asyncio.run(main())


def test_a_charge_is_told_as_it_was_made_with_what_came_back(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 5, "one"), Earned(ALICE, 3, "two"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            outcome = await app.spending.charge(
                app_id=app.app_id, account=account, key="a", operation="unit", units=6
            )
            charge = await app.reading.charge(MovementRef(account, 3))
            assert charge is not None
            assert outcome == Charged(as_made(charge), replayed=False)
            assert (charge.app_id, charge.refunded) == (app.app_id, 0)
            await app.give_back(charge.movement, 2, "b")
            refund = await app.give_back(charge.movement, 3, "c")
            later = await app.reading.charge(charge.movement)
            assert later is not None
            assert later == replace(charge, refunded=5)
            assert later.available == 2
            for seq in (1, 4, refund.seq, 999):  # a grant, a second leg, a refund, nothing
                assert await app.reading.charge(MovementRef(account, seq)) is None

    asyncio.run(main())


def test_a_refund_to_an_orphaned_grant_counts_once(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            charge = await app.sell(account, 5, "a")
            await chain.reverse(stays)
            await app.give_back(charge, 2, "b")
            row = await app.reading.charge(charge)
            assert row is not None
            assert row.refunded == 2
            assert (await app.has(account)).debt == 3

    asyncio.run(main())


def test_a_free_charge_is_told_like_any_other(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app, Operating.open(database_url) as operating:
            await operating.apply_prices([PriceRow("free", 0, 0, "call")])
            account = await app.account_of(ALICE)
            made = await app.spending.charge(
                app_id=app.app_id, account=account, key="a", operation="free", units=1
            )
            row = await app.reading.charge(MovementRef(account, 1))
            assert row is not None
            assert made == Charged(as_made(row), replayed=False)
            assert (row.cost, row.available, row.refunded) == (0, 0, 0)

    asyncio.run(main())
