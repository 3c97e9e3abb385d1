"""A wallet earns before anybody signs up; linked, it earns for whom it is linked to."""

import asyncio

import pytest
from conftest import ASKED, CHAIN_ID, earn
from town import ALICE, BOB, CAROL, Town

from ledger.ids import AccountRef
from ledger.outcomes import (
    Frozen,
    Insufficient,
    LinkChained,
    Linked,
    LinkedElsewhere,
    NoSuchAccount,
    Unlinked,
    UnlinkOutcome,
)

OTHER_CHAIN = 10


def test_what_a_wallet_earned_before_its_link_moves_along(database_url: str) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, ALICE, 50)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user, own = await town.user(), await town.wallet(ALICE)
            await town.sell(own, 10, "k")
            assert await town.link(ALICE, user) == Linked(user, 1, 70, 0, replayed=False)
            assert (town.has(own), town.has(user)) == ((0, 0), (70, 0))
            assert town.kinds(own)[-2:] == [("move_out", 20), ("move_out", 50)]
            assert town.kinds(user) == [("move_in", 20), ("move_in", 50)]
            moves = "select movement, peer_account from creditd.entry where account_id = %s"
            assert town.rows(f"{moves} and kind = 13", own[1]) == [(4, user[1])] * 2
            assert town.rows(f"{moves} and kind = 14", user[1]) == [(1, own[1])] * 2
            await town.sell(user, 70, "k")
            assert isinstance(await town.charge(own, 1, "l"), Insufficient)

    asyncio.run(main())


def test_what_a_wallet_earns_after_its_link_is_the_accounts(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await town.linked(ALICE, user)
            await asyncio.to_thread(earn, database_url, ALICE, 30)
            assert town.has(user) == (30, 0)
            assert town.kinds(user) == [("grant", 30)]
            assert town.has(await town.wallet(ALICE)) == (0, 0)

    asyncio.run(main())


def test_a_moved_lot_keeps_its_terms_and_where_it_began(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            own, first, second = await town.wallet(ALICE), await town.user(), await town.user("b")
            town.grant(own, 10, priority=5, expires_at="2200-01-01", source="plan")
            town.grant(own, 20, effective_at="2150-01-01", operations=["other"])
            await town.linked(ALICE, first)
            lots = """select source, priority, effective_at::text, expires_at::text,
                cardinality(operations), origin_account, origin_lot, remaining
              from creditd.lot where account_id = %s order by lot_no"""
            a, b = own.account_id, first.account_id
            moved = [
                ("plan", 5, "-infinity", "2200-01-01 00:00:00+00", None, a, 1, 10),
                ("promotional", 100, "2150-01-01 00:00:00+00", "infinity", 1, a, 2, 20),
            ]
            assert town.rows(lots, b) == moved
            # Moved once more, it still says where it began.
            town.rows("update creditd.account set kind = 'wallet' where account_id = %s", b)
            town.rows(
                "insert into creditd.wallet (chain_id, address, root_id, account_id)"
                " values (%s, %s, %s, %s)",
                *(CHAIN_ID, BOB, *first),
            )
            await town.linking.unlink(app_id=1, chain_id=CHAIN_ID, address=ALICE, account=first)
            await town.linked(BOB, second)
            assert town.rows(lots, second.account_id) == moved
            town.rows("update creditd.account set kind = 'user' where account_id = %s", b)

    asyncio.run(main())


def test_a_debt_moves_along_and_is_repaid_by_what_the_account_has(database_url: str) -> None:
    earn(database_url, ALICE, 100)

    async def main() -> None:
        async with Town.open(database_url) as town:
            own, user = await town.wallet(ALICE), await town.user()
            await town.sell(own, 100, "k")
            town.owe(own, 60)
            town.grant(user, 40)
            assert await town.link(ALICE, user) == Linked(user, 1, 0, 60, replayed=False)
            assert (town.has(own), town.has(user)) == ((0, 0), (0, 20))
            assert town.kinds(own)[-1] == ("debt_out", 60)
            assert town.kinds(user)[1:] == [("debt_in", 60), ("repayment", 40)]

    asyncio.run(main())


def test_what_moves_in_repays_what_the_account_owes(database_url: str) -> None:
    earn(database_url, ALICE, 100)
    earn(database_url, BOB, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.wallet(ALICE)
            await town.sell(user, 100, "k")
            town.owe(user, 20)
            await town.linked(BOB, user)
            assert town.has(user) == (10, 0)

    asyncio.run(main())


def test_a_freeze_for_debt_goes_where_the_debt_goes(database_url: str) -> None:
    earn(database_url, ALICE, 100)

    async def main() -> None:
        async with Town.open(database_url) as town:
            own, user = await town.wallet(ALICE), await town.user()
            await town.sell(own, 100, "k")
            town.owe(own, 60, status="indebted")
            await town.linked(ALICE, user)
            assert (town.status(own), town.status(user)) == ("open", "indebted")
            assert await town.charge(user, 1, "l") == Frozen()

    asyncio.run(main())


def test_the_same_link_again_changes_nothing(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            await town.linked(ALICE, user)
            before = town.rows("select a::text from creditd.account a order by 1")
            assert await town.link(ALICE, user) == Linked(user, 0, 0, 0, replayed=True)
            assert town.rows("select a::text from creditd.account a order by 1") == before

    asyncio.run(main())


def test_a_linked_wallet_is_linked_to_no_other_account(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user, other = await town.user(), await town.user("other")
            await town.linked(ALICE, user)
            assert await town.link(ALICE, other) == LinkedElsewhere()
            assert await town.link(ALICE, other, None) == LinkedElsewhere()
            assert (town.has(user), town.has(other)) == ((30, 0), (0, 0))
            # The refused link on every chain left nothing behind.
            await asyncio.to_thread(earn, database_url, ALICE, 5, chain_id=OTHER_CHAIN)
            assert town.has(other) == (0, 0)

    asyncio.run(main())


def test_after_an_unlink_the_wallet_earns_for_itself_and_nothing_moves_back(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user, other = await town.user(), await town.user("other")
            await town.linked(ALICE, user)

            async def unlink(account: AccountRef) -> object:
                return await town.linking.unlink(
                    app_id=1, chain_id=CHAIN_ID, address=ALICE, account=account
                )

            assert await unlink(other) == LinkedElsewhere()
            assert await unlink(user) == Unlinked(replayed=False)
            assert await unlink(user) == Unlinked(replayed=True)
            await asyncio.to_thread(earn, database_url, ALICE, 7)
            assert (town.has(user), town.has(await town.wallet(ALICE))) == ((30, 0), (7, 0))
            assert (await town.linked(ALICE, other)).moved == 7

    asyncio.run(main())


def test_a_link_on_one_chain_says_nothing_of_another(database_url: str) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, ALICE, 4, chain_id=OTHER_CHAIN)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            assert (await town.linked(ALICE, user)).moved == 30
            await asyncio.to_thread(earn, database_url, ALICE, 5, chain_id=OTHER_CHAIN)
            assert town.has(user) == (30, 0)

    asyncio.run(main())


def test_a_link_on_every_chain_holds_for_chains_to_come(database_url: str) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, ALICE, 4, chain_id=OTHER_CHAIN)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user = await town.user()
            assert await town.link(ALICE, user, None) == Linked(user, 2, 34, 0, replayed=False)
            await asyncio.to_thread(earn, database_url, ALICE, 5, chain_id=77)
            assert town.has(user) == (39, 0)
            assert (await town.linked(ALICE, user, None)).replayed
            assert (await town.linked(ALICE, user, 77)).replayed
            await town.linking.unlink(app_id=1, chain_id=None, address=ALICE, account=user)
            await asyncio.to_thread(earn, database_url, ALICE, 6, chain_id=78)
            await asyncio.to_thread(earn, database_url, ALICE, 6)
            assert town.has(user) == (39, 0)

    asyncio.run(main())


def test_a_wallets_own_account_may_earn_by_its_address_everywhere(database_url: str) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, ALICE, 4, chain_id=OTHER_CHAIN)

    async def main() -> None:
        async with Town.open(database_url) as town:
            own = await town.wallet(ALICE)
            assert await town.link(ALICE, own, None) == Linked(own, 1, 4, 0, replayed=False)
            assert town.has(own) == (34, 0)
            assert (await town.linked(ALICE, own)).replayed

    asyncio.run(main())


def test_links_are_never_chained(database_url: str) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, BOB, 4)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user, alice = await town.user(), await town.wallet(ALICE)
            await town.linked(BOB, alice)
            assert await town.link(ALICE, user) == LinkChained()
            await town.acts.unlink(alice, chain_id=CHAIN_ID, address=BOB, signed=ASKED)
            await town.linked(ALICE, user)
            assert await town.link(BOB, alice) == LinkChained()
            assert town.has(user) == (34, 0)

    asyncio.run(main())


def test_what_comes_back_to_a_linked_wallet_goes_on_to_its_account(database_url: str) -> None:
    earn(database_url, ALICE, 100)

    async def main() -> None:
        async with Town.open(database_url) as town:
            own, user = await town.wallet(ALICE), await town.user()
            charged = await town.sell(own, 60, "k")
            await town.linked(ALICE, user)
            town.owe(own, 50)
            assert (town.has(own), town.has(user)) == ((0, 0), (0, 10))
            await town.give_back(charged, 25)
            assert (town.has(own), town.has(user)) == ((0, 0), (15, 0))
            assert town.kinds(user)[-2:] == [("move_in", 25), ("repayment", 10)]

    asyncio.run(main())


def test_an_overdraft_and_what_is_frozen_do_not_move(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            own, user = await town.wallet(ALICE), await town.user()
            await town.operating.set_overdraft(own, 5)
            await town.freeze(own)
            assert await town.link(ALICE, user) == Frozen()
            await town.unfreeze(own)
            await town.linked(ALICE, user)
            assert (town.has(own), town.has(user)) == ((5, 0), (30, 0))

    asyncio.run(main())


def test_an_app_ends_links_only_of_accounts_it_opened(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town:
            user, bob = await town.user(), await town.wallet(BOB)
            await town.operating.create_app_key(
                app="other", scopes=[], digest=b"\x01" * 32, hint=""
            )

            async def unlink(
                app_id: int, account: AccountRef, address: bytes = ALICE
            ) -> UnlinkOutcome:
                return await town.linking.unlink(
                    app_id=app_id, chain_id=CHAIN_ID, address=address, account=account
                )

            await town.linked(ALICE, user)
            await town.linked(CAROL, bob)
            assert await unlink(2, user) == NoSuchAccount()
            town.rows(
                "insert into creditd.account_access (root_id, account_id, app_id)"
                " values (%s, %s, 2)",
                *user,
            )
            assert await unlink(2, user) == NoSuchAccount()  # it may act for it, no more
            assert await unlink(1, bob, CAROL) == NoSuchAccount()
            assert await unlink(1, AccountRef(1, 1)) == NoSuchAccount()
            assert await unlink(1, user) == Unlinked(replayed=False)
            with pytest.raises(ValueError, match="an address has 20 bytes, this one 19"):
                await unlink(1, user, ALICE[1:])

    asyncio.run(main())


def test_an_operator_links_to_no_account_that_is_not_there(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town:
            assert await town.link(ALICE, AccountRef(1, 1)) == NoSuchAccount()

    asyncio.run(main())
