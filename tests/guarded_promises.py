"""Short stories that each hold one promise against the books: they fail where nothing guards it."""

from dataclasses import replace
from random import Random
from typing import LiteralString

import psycopg
import pytest
from books_and_model import Both
from conftest import CHAIN_ID, GENESIS
from followed_chain import Earned, FollowedChain, source
from histories import merged, some_history
from interleaving import Verdict, hold_commits, interleaved
from proof_of_the_books import assert_sound
from requests_to_the_books import Batch, Charge, Known, Refund, Request, Reverse
from specification import sharing
from specification.books import Books
from stage import PLAIN, SECOND, START, Stage
from telling import Teller, parties_on

from ledger import lanes
from ledger.errors import BrokenLink, Deposed, LedgerError, SeenAlready
from ledger.ids import AccountRef
from ledger.watching import ChainEntry, Watching
from ledger.wire import Wire

WALLET = b"\x77" * 20


async def at_once(stage: Stage, model: Books, first: Request, second: Request) -> None:
    """One asks and is held; the other asks, and waits for it."""
    hold_commits(stage)
    async with interleaved(stage, model, Known([]), Random(0), actors=2) as played:
        one, other = played.actors
        await played.ask(one, first)
        await played.ask(other, second)
        await played.end(one, Verdict.COMMIT)
        if other in played.holding:
            await played.end(other, Verdict.COMMIT)


def only_try_once(patch: pytest.MonkeyPatch) -> None:
    """What is refused is not tried again, nor piece by piece."""

    async def refused(_: lanes.Lane, __: Wire, batch: list[lanes.Waiting]) -> None:
        for waiting in batch:
            waiting.answer.set_exception(LedgerError("the first try was refused"))

    patch.setattr(lanes, "TRIES_MAX", 1)
    patch.setattr(lanes.Lane, "_one_by_one", refused)


def account_with(stage: Stage, model: Books, *amounts: int) -> AccountRef:
    account = stage.account(f"account {len(model.accounts)}", *amounts)
    opened = stage.model_of(account, amounts=amounts)
    model.accounts |= opened.accounts
    return account


async def batches_at_once_take_what_is_there(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    only_try_once(patch)
    model = stage.model_of()
    accounts = [account_with(stage, model, 10) for _ in range(2)]
    first, second = (
        Batch(tuple(Charge(account, key, "unit", 6) for account in accounts)) for key in "ab"
    )
    await at_once(stage, model, first, second)
    assert_sound(stage.database_url)


async def one_charge_waits_for_a_batch(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    only_try_once(patch)
    model = stage.model_of()
    account = account_with(stage, model, 3, 3, 3)
    crossing = [Charge(account, key, "unit", 5) for key in "ab"]
    await at_once(stage, model, *crossing)
    assert_sound(stage.database_url)


async def refunds_at_once_give_back_what_was_taken(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        await both.give(account, 10, PLAIN)
        charge = await both.charge(Charge(account, "c", "unit", 6))
        first, second = (Refund(charge, key, None) for key in "ab")
        await at_once(stage, both.model, first, second)
    assert_sound(stage.database_url)


async def one_key_at_once_is_one_charge(stage: Stage, _: pytest.MonkeyPatch) -> None:
    model = stage.model_of()
    account = account_with(stage, model, 10)
    charge = Charge(account, "k", "unit", 3)
    await at_once(stage, model, charge, charge)
    assert_sound(stage.database_url)


async def one_key_again_is_answered_alike(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        for amount in (5, 5, 5):
            await both.give(account, amount, PLAIN)
        for request in (
            Charge(account, "lone", "unit", 2),
            Charge(account, "crossing", "unit", 6),
            Charge(account, "free", "free", 6),
        ):
            await both.ask(request)
            await both.ask(request)
            await both.ask(replace(request, units=1))
        both.assert_same_entries()


async def one_refund_again_is_answered_alike(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        await both.give(account, 9, PLAIN)
        charge = await both.charge(Charge(account, "c", "unit", 9))
        for amount in (3, 3, 4):
            await both.ask(Refund(charge, "k", amount))
        rest: tuple[tuple[str, int | None], ...] = (("l", 7), ("m", None), ("n", 1))
        for key, part in rest:
            await both.ask(Refund(charge, key, part))
        both.assert_same_entries()
    assert_sound(stage.database_url)


async def entries_are_never_changed(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.account("a", 5)
    for statement in (
        "update creditd.entry set amount = 6",
        "delete from creditd.entry",
        "truncate creditd.entry",
    ):
        with pytest.raises(psycopg.DatabaseError, match="never changed"):
            stage.owner.execute(statement.encode())


async def a_lot_is_spent_in_its_time(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        for name in ("lone", "batch"):
            account = both.account(name)
            await both.give(account, 9, replace(PLAIN, expires_at=both.stage.now + 2 * SECOND))
            await both.give(account, 5, replace(PLAIN, effective_at=both.stage.now + 3 * SECOND))
            charges = [Charge(account, f"{n}", "unit", 2) for n in range(9)]
            await both.ask(charges[0])
            await both.ask(Charge(account, "much", "unit", 50))
            both.stage.wait(2 * SECOND)
            await both.ask(charges[1] if name == "lone" else Batch(tuple(charges[2:4])))
            both.stage.wait(SECOND)
            await both.ask(charges[4] if name == "lone" else Batch(tuple(charges[5:7])))
        both.assert_same_entries()
    assert_sound(stage.database_url)


async def a_frozen_account_is_not_charged(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        await both.give(account, 9, PLAIN)
        stage.rows("update creditd.account set status = 'frozen'")
        sharing.freeze(both.model, account=account)
        await both.ask(Charge(account, "lone", "unit", 2))
        await both.ask(Batch((Charge(account, "a", "unit", 2), Charge(account, "b", "unit", 2))))


async def a_stranger_reaches_nothing(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        await both.give(account, 9, PLAIN)
        ((stage.app_id,),) = stage.rows(
            "insert into creditd.app (name) values ('stranger') returning app_id"
        )
        await both.ask(Charge(account, "lone", "unit", 2))
        await both.ask(Batch((Charge(account, "a", "unit", 2), Charge(account, "b", "unit", 2))))


async def a_lot_is_spent_by_its_operations(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        await both.give(account, 9, replace(PLAIN, operations=frozenset({"draw"}), priority=1))
        await both.give(account, 5, PLAIN)
        await both.ask(Charge(account, "a", "unit", 2))
        await both.ask(Charge(account, "b", "unit", 4))
        await both.ask(Charge(account, "c", "draw", 1))
        both.assert_same_entries()
    assert_sound(stage.database_url)


async def lots_are_burned_in_their_order(stage: Stage, _: pytest.MonkeyPatch) -> None:
    later = START + 3_600 * SECOND
    lots = [
        *((9, PLAIN), (3, replace(PLAIN, priority=50)), (5, PLAIN)),
        *((7, replace(PLAIN, priority=50, expires_at=later)), (11, replace(PLAIN, priority=0))),
    ]
    async with Both.on(stage) as both:
        for name in ("in passing", "with care"):
            account = both.account(name)
            for amount, terms in lots:
                await both.give(account, amount, terms)
            if name == "with care":
                await both.give(account, 4, replace(PLAIN, operations=frozenset({"unit"})))
            for number, units in enumerate((10, 4, 8, 6)):
                await both.ask(Charge(account, f"{number}", "unit", units))
        both.assert_same_entries()


async def whoever_owes_pays_first(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with Both.on(stage) as both:
        account = both.account("a")
        one, two = [await both.give(account, 9, PLAIN) for _ in range(2)]
        charge = await both.charge(Charge(account, "c", "unit", 16))
        await both.ask(Reverse(one))  # 9 are owed, 2 are there
        await both.ask(Refund(charge, "r", 5))
        await both.ask(Reverse(two))
        await both.give(account, 3, PLAIN)
        both.assert_same_entries()
    assert_sound(stage.database_url)


async def a_history_comes_to_what_it_should(stage: Stage, _: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        told, model = some_history(stage, seed, 60)
        async with parties_on(stage, 1) as parties:
            teller = Teller(stage, parties, Random(seed))
            ways = {"lone": told, "batches": merged(told, 9), "carefully": told}
            for way, as_told in ways.items():
                teller.begin(f"{seed} {way}")
                await teller.tell(as_told, carefully=way == "carefully")
                teller.assert_told(model)
    assert_sound(stage.database_url)


async def only_the_leader_writes(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with FollowedChain.lead(stage.database_url) as chain:
        await chain.grow(Earned(WALLET, 5, "one"))
        stage.rows("update creditd.chain set epoch = epoch + 1")  # another leads meanwhile
        with pytest.raises(Deposed):
            await chain.confirm()
        with pytest.raises(Deposed):
            await chain.grow()


async def blocks_follow_one_another(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with FollowedChain.lead(stage.database_url) as chain:
        await chain.grow(Earned(WALLET, 5, "one"))
        last = chain.blocks[-1]
        for forged in ([replace(last, hash=b"\x01" * 32)], [last, last]):
            chain.blocks[:] = forged
            with pytest.raises(BrokenLink):
                await chain.grow()


async def an_event_is_granted_once(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with FollowedChain.lead(stage.database_url) as chain:
        await chain.grow(Earned(WALLET, 5, "one"))
        await chain.confirm()
        with pytest.raises(SeenAlready, match="on the canonical chain already"):
            await chain.grow(Earned(WALLET, 5, "one"))


async def events_are_of_sources_of_their_chain(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with FollowedChain.lead(stage.database_url) as chain:
        chain.rule_id += 1
        with pytest.raises(psycopg.Error, match="none of its own"):
            await chain.grow(Earned(WALLET, 5, "one"))
        chain.rule_id -= 1
        await chain.grow(Earned(WALLET, 5, "one"))


async def caps_are_kept(stage: Stage, _: pytest.MonkeyPatch) -> None:
    rule = source(cap_account=8, cap_account_day=6)
    async with FollowedChain.lead(stage.database_url, rule=rule) as chain:
        for number in range(3):
            await chain.grow(Earned(WALLET, 5, f"{number}"), time=1_700_000_000 + 86_400 * number)
            await chain.grow(
                Earned(WALLET, 5, f"again {number}"), time=1_700_000_001 + 86_400 * number
            )
        await chain.confirm()
    granted = stage.rows("select amount from creditd.lot order by lot_no")
    assert granted == [(5,), (1,), (2,)]
    assert_sound(stage.database_url)


async def a_chain_is_its_genesis(stage: Stage, _: pytest.MonkeyPatch) -> None:
    async with FollowedChain.lead(stage.database_url):
        pass
    entry = ChainEntry(CHAIN_ID, f"chain-{CHAIN_ID}", bytes(32), 2, -1, bytes(32), 0)
    assert entry.genesis != GENESIS
    with pytest.raises(Exception, match="with genesis"):
        async with Watching.lead(stage.database_url, entry, "test"):
            pass


# What no function does, tried by hand: each statement breaks this constraint before any other.
_AN_ENTRY: LiteralString = """
insert into creditd.entry (root_id, account_id, seq, kind, amount, available_after, held_after,
                           debt_after, lot_no, movement, key_hash, at, hash)
select root_id, account_id, 99, 2, {}, {}, 0, 0, {}, 99, {}, at, hash
from creditd.entry where seq = 1"""
BREACHES: dict[tuple[str, str], tuple[str, ...]] = {
    ("account", "balance_is_never_negative"): (
        "update creditd.account set debt = -1, repaid = 1, refunded = 1",
        "update creditd.account set available = -1, spent = granted + 1, head_left = 0",
    ),
    ("account", "what_came_in_went_out_or_is_here"): (
        "update creditd.account set granted = granted + 1",
        "update creditd.account set available = available + 1",
        "update creditd.account set held = held + 1",
        "update creditd.account set spent = spent + 1",
    ),
    ("account", "debt_is_owed_and_not_yet_repaid"): ("update creditd.account set debt = 1",),
    ("account", "head_is_within_what_is_available"): (
        "update creditd.account set head_left = available + 1",
    ),
    ("lot", "lot_is_never_overdrawn"): (
        "update creditd.lot set remaining = amount + 1",
        "update creditd.lot set remaining = -1",
        "update creditd.lot set expired = -1",
        "update creditd.lot set held = amount",
    ),
    ("lot", "reversed_lot_has_nothing_left"): ("update creditd.lot set state = 'reversed'",),
    ("lot", "lot_lives_before_it_ends"): ("update creditd.lot set expires_at = '-infinity'",),
    ("entry", "entry_leaves_no_negative_balance"): (_AN_ENTRY.format(1, -1, 1, "null"),),
    ("entry", "entry_amount_is_positive"): (
        _AN_ENTRY.format(-1, 1, 1, "null"),
        _AN_ENTRY.format(0, 1, 1, "null").replace("99, 2", "99, 3"),
    ),
    ("entry", "entry_names_its_lot"): (_AN_ENTRY.format(1, 1, "null", "null"),),
    ("entry", "key_says_what_it_asked"): (_AN_ENTRY.format(1, 1, 1, "gen_random_uuid()"),),
    ("entry", "entry_pkey"): (_AN_ENTRY.format(1, 1, 1, "null").replace("99", "1"),),
}


def a_constraint_stands(stage: Stage, constraint: str, statements: tuple[str, ...]) -> None:
    stage.account("a", 5)
    for statement in statements:
        with pytest.raises(psycopg.errors.IntegrityError) as refused:
            stage.owner.execute(statement.encode())
        assert refused.value.diag.constraint_name == constraint
