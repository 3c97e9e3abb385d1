"""Connections that write at the same time, as a seed draws: as if one after the other."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from interleaving import Interleaving, hold_commits, interleaved
from proof_of_the_books import assert_sound
from requests_to_hold import a_release, a_reservation, a_settlement, an_allocation
from requests_to_the_books import BY_USERS, Drawn, Known, a_batch, a_charge, a_gift, a_refund
from specification import sharing
from specification.books import Books
from specification.granting import receive
from stage import PLAIN, Stage, entries_of

from ledger.ids import AccountRef, MovementRef

ACCOUNTS = 3
REQUESTS = 150

HOLDING: Drawn = {**BY_USERS, a_reservation: 4, a_settlement: 4, a_release: 2}
SHARING: Drawn = {
    a_charge: 8,
    a_batch: 4,
    a_refund: 4,
    a_gift: 2,
    a_reservation: 3,
    a_settlement: 3,
    a_release: 1,
    an_allocation: 6,
}
World = Callable[[Stage, int], tuple[Books, Known]]


def users(stage: Stage, seed: int) -> tuple[Books, Known]:
    """Accounts that have nothing to do with each other."""
    accounts = [stage.account(f"{seed} {number}", 100) for number in range(ACCOUNTS)]
    model = stage.model_of(*accounts, amounts=(100,))
    return model, Known(accounts, lots=[MovementRef(account, 1) for account in accounts])


def an_organisation(stage: Stage, seed: int) -> tuple[Books, Known]:
    """A pool, two members who may draw on it within a budget, and a stranger."""
    (opened,) = stage.rows(
        "select root, account from creditd.open_organisation(%s, %s)", stage.app_id, f"org {seed}"
    )
    pool = AccountRef(*opened)
    model = stage.model_of()
    model.open(pool, kind="organisation", app=stage.app_id)
    members = []
    for number, limit in enumerate((60, 400)):
        ((account_id,),) = stage.rows(
            "select account from creditd.add_member(%s, %s::bigint, %s)",
            stage.app_id,
            pool.root_id,
            f"{number}",
        )
        member = AccountRef(pool.root_id, account_id)
        members.append(member)
        model.open(member, kind="member", app=stage.app_id)
        stage.rows(
            "select creditd.set_budget(%s, %s::bigint, %s::bigint, 'ever', %s::bigint, '{}')",
            stage.app_id,
            *member,
            limit,
        )
        sharing.set_budget(model, member=member, period="ever", limit=limit)
    stranger = stage.account(f"stranger {seed}")
    model.open(stranger, app=stage.app_id)
    accounts = [pool, *members, stranger]
    for account in accounts:
        stage.give(account, 80)
        receive(model, model.accounts[account], 80, PLAIN, stage.now)
    return model, Known(accounts)


async def play(
    stage: Stage, seed: int, connections: int, world: World, drawn: Drawn
) -> Interleaving:
    model, known = world(stage, seed)
    rng = Random(seed)
    async with interleaved(stage, model, known, rng, actors=connections, drawn=drawn) as played:
        try:
            await played.play(REQUESTS)
        except Exception as error:
            error.add_note(f"seed {seed}:\n{played.told()}")
            raise
    for account in known.accounts:
        assert stage.entries(account) == entries_of(model, account), f"seed {seed}"
    return played


@pytest.mark.parametrize("connections", [2, 4, 7])
@pytest.mark.parametrize(
    ("world", "drawn"), [(users, BY_USERS), (users, HOLDING), (an_organisation, SHARING)]
)
def test_what_connections_do_at_once_is_what_they_would_do_in_the_order_of_their_commits(
    database_url: str, world: World, drawn: Drawn, connections: int
) -> None:
    with Stage.on(database_url) as stage:
        hold_commits(stage)
        played = asyncio.run(play(stage, connections, connections, world, drawn))
        assert played.waits > REQUESTS // 10, "nobody was in anybody's way"
    assert_sound(database_url)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("world", "drawn"), [(users, BY_USERS), (users, HOLDING), (an_organisation, SHARING)]
)
def test_hundreds_of_schedules_each_have_an_order(
    database_url: str, world: World, drawn: Drawn
) -> None:
    with Stage.on(database_url) as stage:
        hold_commits(stage)
        for seed in range(500):
            asyncio.run(play(stage, 10_000 + seed, 2 + seed % 6, world, drawn))
    assert_sound(database_url)
