"""Events that wait for more final blocks than their own: granted then, once, and never sooner."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from books import Books
from conftest import CHAIN_ID, fake_hash
from followed_chain import Earned, FollowedChain, source
from selling_app import SellingApp
from staking import DAY, MIDNIGHT, TOKEN, Staking, staking
from waiting import ALICE, BOB, books_balance, grow, large, told, waiting

from ledger.errors import BrokenLink
from ledger.late import Late
from ledger.watching import ADDS

CONFIRMS_MAX = 100


def test_what_waits_is_granted_with_the_block_it_waits_for(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(Earned(ALICE, 1, "small"), large(more=3))
        await grow(chain, 5)
        for number in range(3):
            await chain.confirm(chain.blocks[number])
            assert books.account(ALICE).available == 1, number
            assert books.pending() == {(fake_hash("tx", "large"), 0): 9}
        assert await chain.confirm(chain.blocks[3]) == 1
        assert books.account(ALICE).available == 10
        assert waiting(books) == {}
        assert await chain.confirm() == 0
        assert books.account(ALICE).available == 10

    told(database_url, story)


def test_one_step_over_many_blocks_grants_only_what_is_due_by_its_end(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large("soon", 2))
        await chain.grow(large("later", 9), Earned(ALICE, 1, "small"))
        await grow(chain, 9)
        assert await chain.confirm(chain.blocks[9]) == 2
        assert waiting(books) == {fake_hash("tx", "later"): 10}
        assert await chain.confirm(chain.blocks[10]) == 1

    told(database_url, story)


def test_an_earner_sees_what_waits_as_pending_and_what_it_waits_for(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        del books
        await chain.grow(large(more=3), Earned(ALICE, 1, "small"))
        await grow(chain, 5)
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            for number, pending, due in ((-1, 10, 3), (0, 9, 3), (2, 9, 3), (3, 0, None)):
                if number >= 0:
                    await chain.confirm(chain.blocks[number])
                assert (await app.has(account)).pending == pending
                small, earning = await app.reading.earnings(account, before=None, limit=9)
                assert (earning.state == "pending") == (due is not None)
                assert earning.due_block == due
                assert earning.confirmations_needed == (5 if due else 2)
                assert (small.due_block, small.confirmations_needed) == (None, 2)

    told(database_url, story)


@pytest.mark.parametrize("parts", [[11], [3, 7, 11], list(range(12))])
def test_caps_are_for_what_is_due_first_however_the_steps_are_cut(
    database_url: str, parts: Sequence[int]
) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large("first", 7, earns=20))
        await chain.grow(large("second", 2, wallet=BOB, earns=20))
        await grow(chain, 1)
        await chain.grow(Earned(ALICE, 5, "with the second"))
        await grow(chain, 2)
        await chain.grow(Earned(BOB, 20, "between"))
        await grow(chain, 5)
        for number in parts:
            await chain.confirm(chain.blocks[number])
        assert books.confirmed() == {
            (fake_hash("tx", "second"), 0): 20,
            (fake_hash("tx", "with the second"), 0): 5,
            (fake_hash("tx", "between"), 0): 5,
            (fake_hash("tx", "first"), 0): 0,
        }

    told(database_url, story, replace(source(), cap_total=30))


def test_what_one_transaction_grants_of_what_is_due_is_bounded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.watching.EVENTS_AT_ONCE_MIN", 4)
    monkeypatch.setattr("ledger.watching.EVENTS_AT_ONCE_MAX", 4)

    async def story(chain: FollowedChain, books: Books) -> None:
        for block in range(6):  # due one by one, in blocks 9 to 4
            events = [large(f"{block} {n}", 9 - 2 * block, earns=1) for n in range(3)]
            await chain.grow(*(events if block < 5 else [Earned(ALICE, 1, "small")]))
        await grow(chain, 10)
        counts, last = [], chain.blocks[-1]
        for _ in range(CONFIRMS_MAX):
            counts.append(await chain.confirm(last))
            if books.standing().confirmed == last.number:
                break
        # Block 5: three due and a small one. What is due in one block is granted together.
        assert counts == [4, 3, 3, 3, 3]
        assert books.account(ALICE).available == 16

    told(database_url, story)


def test_a_reorg_of_pending_blocks_takes_what_would_wait_along(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        first = await chain.grow(large("stays", 5))
        await chain.grow(large("moves", 5), large("goes", 5))
        await chain.confirm(first)
        await chain.drop(first)
        assert waiting(books) == {fake_hash("tx", "stays"): 5}
        await chain.grow(fork="b")
        await chain.grow(large("moves", 5), fork="b")
        assert waiting(books) == {fake_hash("tx", "stays"): 5, fake_hash("tx", "moves"): 7}
        await grow(chain, 8, "b")
        await chain.confirm(chain.blocks[6])
        assert books.account(ALICE).available == 9
        await chain.confirm()
        assert books.account(ALICE).available == 18

    told(database_url, story)


def test_a_reorg_of_final_blocks_takes_back_what_waits_above_it_and_no_more(
    database_url: str,
) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large("granted", 2))
        parting = await chain.grow(large("below", 5))
        await chain.grow(large("above", 5))
        await grow(chain, 2)
        await chain.confirm()  # up to block 4
        assert waiting(books) == {fake_hash("tx", "below"): 6, fake_hash("tx", "above"): 7}
        await chain.reverse(parting)
        # Its block is still there, and as many blocks were final on top of it.
        assert books.confirmed() == {(fake_hash("tx", "granted"), 0): 9}
        assert waiting(books) == {fake_hash("tx", "below"): 6}
        await books_balance(database_url)
        await grow(chain, 4, "b")
        await chain.confirm()  # up to block 5
        assert books.account(ALICE).available == 9
        await chain.grow(fork="b")
        await chain.confirm()
        assert books.account(ALICE).available == 18

    told(database_url, story)


def test_each_coming_back_is_an_incarnation_and_waits_again(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        base = await chain.grow()
        for turn, is_granted in enumerate([True, False, True]):
            await chain.grow(large(more=2), fork=str(turn))
            await chain.confirm()
            assert waiting(books) == {fake_hash("tx", "large"): 3}, turn
            if is_granted:
                await grow(chain, 2, str(turn))
                await chain.confirm()
            lots = books.rows(
                "select state, incarnation from creditd.lot where rule_id is not null order by 2"
            )
            assert (
                lots
                == [
                    [("live", 1)],
                    [("reversed", 1)],
                    [("reversed", 1), ("live", 2)],
                ][turn]
            )
            if turn < 2:
                await chain.reverse(base)
                assert waiting(books) == {}
        assert books.account(ALICE).available == 9

    told(database_url, story)


def test_a_halted_chain_grants_nothing_that_is_due(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large(more=2))
        await grow(chain, 4)
        await chain.confirm(chain.blocks[1])
        await chain.watching.halt("a person looks")
        assert await chain.confirm() == 0
        assert books.account(ALICE).available == 0
        await chain.watching.resume()
        await chain.confirm()
        assert books.account(ALICE).available == 9

    told(database_url, story)


def test_what_is_forgotten_to_be_read_again_waits_by_what_is_said_then(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        first = await chain.grow(large("first", 5))
        await chain.grow(large("second", 5))
        await chain.confirm(first)
        async with Late.open(database_url, CHAIN_ID) as late:
            place = await late.place()
            assert place is not None
            assert await late.rewind(place.epoch, first.number) == 1
        assert waiting(books) == {fake_hash("tx", "first"): 5}
        chain.watching.epoch = place.epoch + 1
        del chain.blocks[1:]
        await chain.grow(large("second", 1))
        assert waiting(books) == {fake_hash("tx", "first"): 5, fake_hash("tx", "second"): 2}

    told(database_url, story)


def test_what_waits_longer_than_blocks_are_remembered_is_granted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followed_chain.REMEMBER", 2)

    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(large(more=9))
        await grow(chain, 9)
        await chain.confirm(chain.blocks[8])
        assert min(books.block_hashes()) == 6
        await books_balance(database_url)
        await chain.confirm()
        assert books.account(ALICE).available == 9

    told(database_url, story)


def test_what_waits_goes_where_its_wallet_leads_when_it_is_due(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        del books
        await chain.grow(large(more=2))
        await grow(chain, 2)
        await chain.confirm(chain.blocks[0])
        async with SellingApp.open(database_url) as app:
            before = await app.account_of(ALICE)
            user = (await app.spending.open_account(app_id=app.app_id, name="a user")).account
            await app.link(ALICE, user)
            assert [(await app.has(each)).pending for each in (before, user)] == [0, 9]
            await chain.confirm()
            has = await app.has(user)
            assert (has.available, has.pending) == (9, 0)

    told(database_url, story)


def test_a_stake_never_waits(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        for role in (ADDS, ADDS + 1):
            with pytest.raises(BrokenLink, match="only 0 of 1 events can wait"):
                await chain.grow(Earned(ALICE, 0, "adds", role=role, blocks_more=2))
        assert books.pending() == {}

    told(database_url, story, staking())


def test_what_stakes_earn_is_granted_beside_what_waits(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        stakes = Staking(chain, staking().stakes)  # type: ignore[arg-type]
        await stakes.block(MIDNIGHT, (ALICE, TOKEN))
        await chain.grow(large(more=2), time=MIDNIGHT + DAY - 1)
        await chain.grow(Earned(BOB, 1, "small"), time=MIDNIGHT + DAY)
        await stakes.confirm()
        assert books.account(ALICE).available == 1_000_000
        assert books.account(BOB).available == 1
        await chain.grow(time=MIDNIGHT + 2 * DAY)  # ends a period, and is what is waited for
        await stakes.confirm()
        assert books.account(ALICE).available == 2_000_009

    told(database_url, story, staking())


def test_who_leads_no_more_lets_nothing_wait(database_url: str) -> None:
    async def story(chain: FollowedChain, books: Books) -> None:
        await chain.grow(Earned(ALICE, 9, "seen"))
        for epoch, words in ((0, "leads epoch 0"), (chain.watching.epoch, None)):
            statement = "select creditd.let_events_wait(%s, %s, %s, %s, %s)"
            asked = (CHAIN_ID, epoch, [fake_hash("tx", "seen")], [0], [5])
            if words is None:
                books.rows(statement, *asked)
            else:
                with pytest.raises(Exception, match=words):
                    books.rows(statement, *asked)
        assert waiting(books) == {fake_hash("tx", "seen"): 5}

    told(database_url, story)
