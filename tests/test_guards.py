"""Every guard of the books is needed: with it each story holds, without it its story fails."""

import asyncio
from collections.abc import Callable, Coroutine

import guarded_promises as promises
import psycopg
import pytest
from guarded_promises import BREACHES, a_constraint_stands
from guards import Dropped, DroppedIndex, Remove, Without, all_of
from stage import Stage

from ledger import lanes
from ledger.errors import LedgerError

Story = Callable[[Stage, pytest.MonkeyPatch], Coroutine[object, object, None]]

ASKED_AGAIN = "a key used meanwhile is looked up again"
GUARDS: dict[str, tuple[Remove, Story]] = {
    "a batch locks its accounts": (
        Without("lock_accounts", "for no key update of a"),
        promises.batches_at_once_take_what_is_there,
    ),
    "a lone charge locks its account": (
        Without("lock_accounts", "for no key update;", ";"),
        promises.one_charge_waits_for_a_batch,
    ),
    "a refund locks its account": (
        all_of(
            Without("locked_account", "for no key update"),
            Without("lock_accounts", "for no key update of a"),
            Without("lock_accounts", "for no key update;", ";"),
        ),
        promises.refunds_at_once_give_back_what_was_taken,
    ),
    "one key is one movement": (
        DroppedIndex("one_key_one_movement"),
        promises.one_key_at_once_is_one_charge,
    ),
    ASKED_AGAIN: (
        lambda _: None,  # it is the lanes that do it
        promises.one_key_at_once_is_one_charge,
    ),
    "a batch looks keys up": (
        Without("charge_batch", "i.known is not null", "false"),
        promises.one_key_again_is_answered_alike,
    ),
    "a key says what was asked": (
        Without("charge_as_made", "e.request_hash <> p_request", "false"),
        promises.one_key_again_is_answered_alike,
    ),
    "a refund looks its key up": (
        Without("refund", "x.key_hash = p_key", "false"),
        promises.one_refund_again_is_answered_alike,
    ),
    "entries are append-only": (
        Dropped("entry", trigger="entry_is_append_only"),
        promises.entries_are_never_changed,
    ),
    "entries are never truncated": (
        Dropped("entry", trigger="entry_is_never_truncated"),
        promises.entries_are_never_changed,
    ),
    "a lone charge sees that a lot has ended": (
        Without("charge_at_once", "and a.valid_until > clock()"),
        promises.a_lot_is_spent_in_its_time,
    ),
    "a batch sees that a lot has ended": (
        Without("charge_batch", "i.valid_until <= v_now", "false"),
        promises.a_lot_is_spent_in_its_time,
    ),
    "what has ended is expired first": (
        Without("charge_with_care", "a := expire_due(a);"),
        promises.a_lot_is_spent_in_its_time,
    ),
    "a lone charge sees that the account is frozen": (
        Without("charge_at_once", "a.status = 'open'", "true"),
        promises.a_frozen_account_is_not_charged,
    ),
    "a batch sees that the account is frozen": (
        Without("charge_batch", "i.status <> 'open'", "false"),
        promises.a_frozen_account_is_not_charged,
    ),
    "a lone charge asks who may reach the account": (
        Without("charge_at_once", "s.app_id = p_app", "true"),
        promises.a_stranger_reaches_nothing,
    ),
    "a batch asks who may reach the account": (
        Without("charge_batch", "not i.reaches", "false"),
        promises.a_stranger_reaches_nothing,
    ),
    "lots of some operations are asked for theirs": (
        Without("burn", "p_operation = any (l.operations)", "true"),
        promises.a_lot_is_spent_by_its_operations,
    ),
    "an account with such lots chooses at each charge": (
        all_of(
            Without("keep", "not a.is_special and"),
            Without("charge_at_once", "and not a.is_special"),
        ),
        promises.a_lot_is_spent_by_its_operations,
    ),
    "a reversal is repaid by what is there": (
        Without("repay_from_lots", "least(a.debt, a.available) = 0", "true"),
        promises.whoever_owes_pays_first,
    ),
    "lots are burned in their order by a charge with care": (
        Without("burn", "order by l.priority, l.expires_at, l.lot_no", "order by l.lot_no desc"),
        promises.lots_are_burned_in_their_order,
    ),
    "lots are burned in their order by a batch": (
        Without("charge_batch", "order by y.priority, y.expires_at, y.lot_no", "order by y.amount"),
        promises.lots_are_burned_in_their_order,
    ),
    "the next lot is the first in order": (
        Without("keep", "order by l.priority, l.expires_at, l.lot_no", "order by l.amount"),
        promises.lots_are_burned_in_their_order,
    ),
    "a lot that is used up is written down": (
        Without("charge_batch", "set remaining = 0", "set remaining = y.remaining"),
        promises.a_history_comes_to_what_it_should,
    ),
    "a refusal tells of what can be spent": (
        Without("charge_batch", "y.effective_at > v_now), 0)", "false), 0)"),
        promises.a_lot_is_spent_in_its_time,
    ),
    "each entry is hashed over the one before": (
        Without("leg_hash", "p_before ||", "p_account ||"),
        promises.a_history_comes_to_what_it_should,
    ),
    "each entry of other functions is, too": (
        Without("post", "entry_hash(a.head_hash, e)", "entry_hash(first_hash(0, 0), e)"),
        promises.a_history_comes_to_what_it_should,
    ),
    "times of entries only grow": (
        Without("post", "greatest(clock(), a.last_at + interval '1 microsecond')", "clock()"),
        promises.a_history_comes_to_what_it_should,
    ),
    "only the leader writes": (
        Without("for_its_leader", "c.epoch is distinct from p_epoch", "false"),
        promises.only_the_leader_writes,
    ),
    "blocks follow one another by hash": (
        Without("append_blocks", "p_parents[k] <> c.indexed_hash", "false"),
        promises.blocks_follow_one_another,
    ),
    "blocks follow one another by number": (
        Without("append_blocks", "p_numbers[k] <> c.indexed_number + 1", "false"),
        promises.blocks_follow_one_another,
    ),
    "a chain is its genesis": (
        Without("lead_chain", "c.genesis <> p_genesis", "false"),
        promises.a_chain_is_its_genesis,
    ),
    "an event is of a source of its chain": (
        Without("see_events", "where r.rule_id = t.rule_id and r.chain_id = p_chain", ""),
        promises.events_are_of_sources_of_their_chain,
    ),
    "an event is seen once": (
        Without("see_events", "v_seen <> cardinality(p_blocks)", "false"),
        promises.an_event_is_granted_once,
    ),
}
STORIES = dict.fromkeys(story for _, story in GUARDS.values())


# How a story fails: it finds the books wrong, or the books or their guards behind refuse.
BROKEN = AssertionError, pytest.fail.Exception, psycopg.Error, LedgerError


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_promise_is_kept(
    database_url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stage.on(database_url, pretended_time=True) as stage:
        asyncio.run(story(stage, monkeypatch))


@pytest.mark.parametrize("guard", GUARDS)
def test_a_promise_is_broken_where_nothing_guards_it(
    database_url: str, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, story = GUARDS[guard]
    if guard == ASKED_AGAIN:
        monkeypatch.setattr(lanes, "_ANOTHER_TRY_HELPS", set())
    with Stage.on(database_url, pretended_time=True) as stage:
        remove(stage)
        with pytest.raises(BROKEN):
            asyncio.run(story(stage, monkeypatch))


@pytest.mark.parametrize(("table", "constraint"), BREACHES)
def test_a_constraint_stands_and_nothing_stands_in_for_it(
    database_url: str, table: str, constraint: str
) -> None:
    with Stage.on(database_url, pretended_time=True) as stage:
        a_constraint_stands(stage, constraint, BREACHES[table, constraint])
        stage.owner.execute(f"alter table creditd.{table} drop constraint {constraint}".encode())
        stage.owner.execute(BREACHES[table, constraint][0].encode())
