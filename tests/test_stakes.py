"""Stakes earn for the time they are held: to the micro-credit, whatever the chain does."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from random import Random

import pytest
from books import Books
from conftest import CHAIN_ID
from followed_chain import FollowedChain
from selling_app import SellingApp
from staking import (
    ALICE,
    BOB,
    CREDIT,
    DAILY,
    DAY,
    MIDNIGHT,
    TOKEN,
    WALLETS,
    Staking,
    accruals,
    follow,
    granted,
    has,
    staking,
)
from staking_model import earned

from ledger.errors import RuleConflict
from ledger.reading import GrantOrigin
from ledger.watching import StakeTerms


def test_a_stake_earns_by_the_second_and_is_granted_once_a_day(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT + DAY // 4, (ALICE, 2 * TOKEN))
        await stakes.block(MIDNIGHT + DAY // 2, (BOB, 3 * TOKEN), (ALICE, -TOKEN))
        await stakes.block(MIDNIGHT + DAY - 1)
        await stakes.confirm()
        assert accruals(database_url) == []
        await stakes.block(MIDNIGHT + DAY)
        await stakes.confirm()
        assert accruals(database_url) == [(1, ALICE, CREDIT), (1, BOB, 3 * CREDIT // 2)]
        await stakes.block(MIDNIGHT + 3 * DAY + 5)
        await stakes.confirm()

    follow(database_url, story)
    assert accruals(database_url) == [
        (1, ALICE, CREDIT),
        (1, BOB, 3 * CREDIT // 2),
        (2, ALICE, CREDIT),
        (2, BOB, 3 * CREDIT),
        (3, ALICE, CREDIT),
        (3, BOB, 3 * CREDIT),
    ]
    assert has(database_url, ALICE) == 3 * CREDIT


def test_who_took_out_more_than_was_seen_to_come_in_keeps_what_was_earned_until_then(
    database_url: str,
) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, 2 * TOKEN))
        await stakes.block(MIDNIGHT + DAY // 2, (ALICE, -3 * TOKEN))
        await stakes.block(MIDNIGHT + DAY)
        await stakes.block(MIDNIGHT + 2 * DAY, (ALICE, 2 * TOKEN))
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()

    follow(database_url, story)
    assert accruals(database_url) == [(1, ALICE, CREDIT), (3, ALICE, CREDIT)]


def test_what_is_granted_says_which_period_of_whose_stake(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, TOKEN))
        closing = await stakes.block(MIDNIGHT + DAY)
        await stakes.confirm()
        with Books.open(database_url) as books:
            assert books.rows(
                "select tx_hash, ordinal, block_number, amount, credits from creditd.event"
                " where ordinal < 0"
            ) == [
                (
                    stakes.chain.rule_id.to_bytes(4) + (MIDNIGHT + DAY).to_bytes(8) + ALICE,
                    -1,
                    closing.number,
                    TOKEN,
                    CREDIT,
                )
            ]

    follow(database_url, story)


def test_a_year_of_stakes_loses_less_than_a_micro_credit(database_url: str) -> None:
    """A third of a token each, in days that begin anywhere: no fraction is lost on the way."""
    rng = Random(7)
    terms = replace(DAILY, rates=((0, CREDIT // 3),))

    async def story(stakes: Staking) -> None:
        time = MIDNIGHT
        for _ in range(120):
            time += rng.randrange(6 * DAY)
            wallet = rng.choice(WALLETS)
            staked = sum(change.amount for _, who, change in stakes.changes if who == wallet)
            taken = rng.randint(0, staked)
            amount = rng.choice((TOKEN // 3, -taken)) or TOKEN // 7
            await stakes.block(time, (wallet, amount))
        await stakes.block(time + DAY)
        await stakes.confirm()
        assert time - MIDNIGHT > 300 * DAY
        last = stakes.chain.blocks[-1]
        for wallet in WALLETS:
            changes = [c for _, who, c in stakes.changes if who == wallet]
            exact = earned(changes, terms, last.time - last.time % DAY)
            assert 0 <= exact - has(database_url, wallet) < 1

    follow(database_url, story, terms)


@pytest.mark.parametrize("seed", range(12))
def test_the_books_say_what_the_definition_says(database_url: str, seed: int) -> None:
    """Any stakes, holding times, rates and periods, forks of any depth, confirmed in any parts."""
    rng = Random(seed)
    hold = rng.choice((0, 0, 3_600, 2 * DAY))
    rates = (
        (0, rng.randrange(1, CREDIT)),
        (MIDNIGHT + 3 * DAY + rng.randrange(DAY), rng.randrange(CREDIT)),
    )
    terms = StakeTerms(rng.randrange(1, 9) * DAY, rates, rng.choice((3_600 * 6, DAY)), hold)

    async def story(stakes: Staking) -> None:
        confirmed = -1
        for turn in range(40):
            blocks = stakes.chain.blocks
            if blocks and rng.random() < 0.2:
                parting = blocks[rng.randint(max(0, len(blocks) - 8), len(blocks) - 1)]
                leaves = stakes.chain.reverse if parting.number < confirmed else stakes.chain.drop
                await leaves(parting)
                stakes.leave(parting.number)
                confirmed = min(confirmed, parting.number)
            for _ in range(rng.randint(1, 3)):
                time = (blocks[-1].time if blocks else MIDNIGHT) + rng.randrange(1, DAY)
                changed = [_change(stakes, rng, wallet) for wallet in WALLETS if rng.random() < 0.5]
                await stakes.block(time, *(c for c in changed if c[1]), fork=str(turn))
            if rng.random() < 0.7:
                confirmed = rng.randint(confirmed, len(blocks) - 1)
                if confirmed >= 0:
                    await stakes.confirm(blocks[confirmed])
            if confirmed >= 0:
                for wallet in WALLETS:
                    expected = stakes.expected(wallet, blocks[confirmed])
                    assert granted(database_url, wallet) == expected, (turn, wallet)

    follow(database_url, story, terms)


def _change(stakes: Staking, rng: Random, wallet: bytes) -> tuple[bytes, int]:
    staked = sum(change.amount for _, who, change in stakes.changes if who == wallet)
    return wallet, rng.choice((rng.randrange(1, 50), -rng.randint(0, staked)))


def test_what_was_earned_stays_as_it_was_when_the_rate_changes(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url, rule=staking()) as chain:
            stakes = Staking(chain, DAILY)
            await stakes.block(MIDNIGHT, (ALICE, TOKEN))
            await stakes.block(MIDNIGHT + DAY)
            await stakes.confirm()
            for rates in (((0, 2 * CREDIT),), ((0, CREDIT), (MIDNIGHT + DAY - 1, 2 * CREDIT))):
                with pytest.raises(RuleConflict, match="let a change of credits begin later"):
                    await chain.watching.enter_rules([staking(replace(DAILY, rates=rates))])
            for terms in (replace(DAILY, divisor=5), replace(DAILY, hold_seconds=1)):
                with pytest.raises(RuleConflict, match="give the new terms a new name"):
                    await chain.watching.enter_rules([staking(terms)])
            later = replace(DAILY, rates=((0, CREDIT), (MIDNIGHT + DAY + DAY // 2, 3 * CREDIT)))
            await chain.watching.enter_rules([staking(later)])
            await stakes.block(MIDNIGHT + 2 * DAY)
            await stakes.confirm()

    asyncio.run(main())
    assert [granted for _, _, granted in accruals(database_url)] == [CREDIT, 2 * CREDIT]


def test_what_would_be_more_than_a_grant_may_be_is_set_aside(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, 2**255), (BOB, TOKEN))
        await stakes.block(MIDNIGHT + DAY)
        await stakes.block(MIDNIGHT + DAY + 1, (ALICE, TOKEN - 2**255))
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()

    follow(database_url, story)
    assert accruals(database_url)[0] == (1, BOB, CREDIT)
    with Books.open(database_url) as books:
        reasons = [reason for _, _, reason in books.set_aside()]
    assert len(reasons) == 2
    assert all("more than one grant may be" in reason for reason in reasons)
    assert accruals(database_url)[-2:] == [(3, ALICE, CREDIT), (3, BOB, CREDIT)]


def test_more_taken_out_than_was_put_in_earns_nothing_and_loses_nothing(database_url: str) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, -TOKEN), (BOB, TOKEN))
        await stakes.block(MIDNIGHT + DAY, (ALICE, 2 * TOKEN))
        await stakes.block(MIDNIGHT + 2 * DAY)
        await stakes.confirm()

    follow(database_url, story)
    assert [each[1:] for each in accruals(database_url)] == [
        (BOB, CREDIT),
        (ALICE, CREDIT),
        (BOB, CREDIT),
    ]


def test_what_was_earned_before_more_was_taken_out_than_came_in_is_granted(
    database_url: str,
) -> None:
    async def story(stakes: Staking) -> None:
        await stakes.block(MIDNIGHT, (ALICE, TOKEN))
        await stakes.block(MIDNIGHT + DAY // 2, (ALICE, -3 * TOKEN))
        await stakes.block(MIDNIGHT + DAY)
        await stakes.confirm()

    follow(database_url, story)
    assert accruals(database_url) == [(1, ALICE, CREDIT // 2)]


def test_stakes_in_many_small_parts_mature_together_in_the_end(database_url: str) -> None:
    """Past the bound the later ones wait for the last of them, and none is lost."""
    terms = replace(DAILY, hold_seconds=DAY)

    async def story(stakes: Staking) -> None:
        for each in range(100):
            await stakes.block(MIDNIGHT + 60 * each, (ALICE, TOKEN))
        await stakes.block(MIDNIGHT + 3 * DAY)
        await stakes.confirm()
        changes = [c for _, _, c in stakes.changes]
        exact = earned(changes, terms, MIDNIGHT + 3 * DAY)
        late = Fraction(37 * TOKEN * 60 * 36 * CREDIT, terms.divisor)
        assert exact - late <= has(database_url, ALICE) <= exact

    follow(database_url, story, terms)
    with Books.open(database_url) as books:
        assert books.rows("select balance::text from creditd.stake") == [(str(0),)]


def test_the_chain_of_a_stake_is_the_one_it_is_on(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url, rule=staking()) as one:
            stakes = Staking(one, DAILY)
            await stakes.block(MIDNIGHT, (ALICE, TOKEN))
            await stakes.block(MIDNIGHT + DAY)
            await stakes.confirm()
        other = replace(staking(), name="elsewhere")
        async with FollowedChain.lead(database_url, rule=other, chain_id=CHAIN_ID + 1) as two:
            await Staking(two, DAILY).block(MIDNIGHT + 9 * DAY)
            await Staking(two, DAILY).confirm()

    asyncio.run(main())
    assert accruals(database_url) == [(1, ALICE, CREDIT)]


def test_a_statement_tells_what_was_staked_and_which_period_earned(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, rule=staking()) as chain,
            SellingApp.open(database_url) as app,
        ):
            stakes = Staking(chain, DAILY)
            await stakes.block(MIDNIGHT, (ALICE, 3 * TOKEN))
            await stakes.block(MIDNIGHT + DAY // 2, (ALICE, -TOKEN))
            await stakes.block(MIDNIGHT + DAY)
            await stakes.confirm()
            account = await app.account_of(ALICE)
            earnings = await app.reading.earnings(account, before=None, limit=10)
            assert [(row.role, row.amount, row.credits) for row in earnings] == [
                ("accrues", 2 * TOKEN, 5 * CREDIT // 2),
                ("takes", TOKEN, 0),
                ("adds", 3 * TOKEN, 0),
            ]
            end = datetime.fromtimestamp(MIDNIGHT + DAY, UTC)
            assert [row.period_end for row in earnings] == [end, None, None]
            assert (earnings[0].tx_hash, earnings[0].ordinal) == (None, None)
            (entry,) = await app.reading.entries(account, before_seq=None, limit=10)
            assert entry.grant == GrantOrigin("stakes", CHAIN_ID, None, None, 1, end)

    asyncio.run(main())


def test_who_listens_is_told_the_period_of_a_grant(database_url: str) -> None:
    with Books.open(database_url) as books:
        ((said,),) = books.rows(
            "select creditd.grant_said(1, 'staking', 5, int8send(7) || int4send(3)"
            " || int8send(%s) || %s || int4send(-1) || int2send(0::smallint), 'infinity')",
            MIDNIGHT,
            ALICE,
        )
    end = datetime.fromtimestamp(MIDNIGHT, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert said == {
        "grant": 1,
        "source": "staking",
        "amount": 5,
        "chain_id": 7,
        "period_end": end,
    }


def test_a_period_in_which_the_source_ends_is_not_granted(database_url: str) -> None:
    async def main() -> None:
        rule = replace(staking(), to_block=2)
        async with FollowedChain.lead(database_url, rule=rule) as chain:
            stakes = Staking(chain, DAILY)
            await stakes.block(MIDNIGHT, (ALICE, TOKEN))
            for days in range(1, 6):
                await stakes.block(MIDNIGHT + days * DAY)
            await stakes.confirm()

    asyncio.run(main())
    # Block 3 ends the third day, and all blocks before it were followed.
    assert [day for day, _, _ in accruals(database_url)] == [1, 2, 3]
