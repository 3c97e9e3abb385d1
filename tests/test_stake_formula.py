"""What a file is checked by gives what the books' own formula gives, and the definition."""

from dataclasses import replace
from random import Random

import psycopg
import pytest
from staking_model import Change as Said
from staking_model import earned

from daemon.evidence_files.stake_formula import MATURING_MAX, Change, Earned, earned_until
from ledger.watching import StakeTerms

DAY = 86_400
HISTORIES = 150  # of each kind

# Folds the changes of one stake as the books do when they grant.
_FOLDED = """
create function pg_temp.folded(r jsonb, times bigint[], amounts numeric[], until bigint)
returns table (micro numeric, base_units numeric)
language plpgsql set search_path = creditd as $$
declare
  terms rule := jsonb_populate_record(null::rule, r);
  s stake := first_stake(1, '\\x01', to_timestamp(coalesce(times[1], until)));
  e event;
begin
  for k in 1 .. cardinality(times) loop
    exit when times[k] >= until;
    e.block_time := to_timestamp(times[k]);
    e.role := case when amounts[k] > 0 then 1 else 2 end;
    e.amount := abs(amounts[k]);
    s := changed(s, terms, e);
  end loop;
  s := weighed(s, terms, to_timestamp(until));
  return query select div(s.weight, terms.divisor), s.balance;
end $$"""


def terms_of(rng: Random) -> StakeTerms:
    since = sorted({0, *(rng.randrange(30 * DAY) for _ in range(rng.randrange(4)))})
    rates = tuple((each, rng.choice((0, 1, rng.randrange(10**9)))) for each in since)
    hold = rng.choice((0, 0, 1, 3_600, 2 * DAY, 20 * DAY))
    return StakeTerms(rng.choice((1, 7, 10**18 * DAY)), rates, DAY, hold)


def many_parts_of(rng: Random) -> list[Change]:
    """More parts at a time, of which none earns yet, than are kept apart."""
    count = rng.randrange(MATURING_MAX, 2 * MATURING_MAX)
    changes = [Change(DAY + 60 * each, rng.randrange(1, 10**18)) for each in range(count)]
    taken = rng.randrange(1, sum(each.amount for each in changes[-3:]))
    return [*changes, Change(3 * DAY, -taken), Change(3 * DAY + 1, rng.randrange(1, 10**18))]


def history_of(rng: Random, most: int, *, overdrawn: bool) -> list[Change]:
    changes, staked, time = [], 0, rng.randrange(DAY)
    for _ in range(rng.randrange(most)):
        time += rng.choice((0, 1, rng.randrange(3_600), rng.randrange(2 * DAY)))
        amount = rng.choice((1, rng.randrange(1, 10**6), 10**18, 2**255))
        if rng.random() < 0.4:
            amount = -rng.choice((amount, staked) if overdrawn else (rng.randint(0, staked),))
        if amount:
            changes.append(Change(time, amount))
            staked += amount
    return changes


def in_the_books(
    books: psycopg.Connection, changes: list[Change], terms: StakeTerms, until: int
) -> Earned:
    row = books.execute(
        "select * from pg_temp.folded(jsonb_build_object('divisor', %s::numeric, 'rates_from',"
        " %s::bigint[], 'rates_micro', %s::bigint[], 'hold_seconds', %s::integer), %s::bigint[],"
        " %s::numeric[], %s)",
        (
            str(terms.divisor),
            [since for since, _ in terms.rates],
            [micro for _, micro in terms.rates],
            terms.hold_seconds,
            [each.time for each in changes],
            [str(each.amount) for each in changes],
            until,
        ),
    ).fetchone()
    assert row is not None
    return Earned(int(row[0]), int(row[1]))


@pytest.mark.parametrize(("most", "overdrawn"), [(12, False), (12, True), (3 * MATURING_MAX, True)])
def test_any_stake_has_earned_what_the_books_say(
    database_url: str, most: int, overdrawn: bool
) -> None:
    rng = Random(most)
    with psycopg.connect(database_url) as books:
        books.execute(_FOLDED)
        for _ in range(HISTORIES):
            terms, changes = terms_of(rng), history_of(rng, most, overdrawn=overdrawn)
            last = changes[-1].time if changes else DAY
            moments = [rng.randrange(1, last + 30 * DAY), last + 1, last, last + terms.hold_seconds]
            for until in moments:
                found = earned_until(changes, terms, until)
                assert found == in_the_books(books, changes, terms, until), (terms, changes, until)


def test_a_stake_in_very_many_parts_has_earned_what_the_books_say(database_url: str) -> None:
    rng = Random(5)
    with psycopg.connect(database_url) as books:
        books.execute(_FOLDED)
        for _ in range(HISTORIES // 5):
            terms, changes = replace(terms_of(rng), hold_seconds=20 * DAY), many_parts_of(rng)
            for until in (21 * DAY + rng.randrange(DAY), 23 * DAY, 24 * DAY):
                found = earned_until(changes, terms, until)
                assert found == in_the_books(books, changes, terms, until), (terms, changes, until)


@pytest.mark.parametrize("seed", range(60))
def test_any_stake_has_earned_what_the_definition_says(seed: int) -> None:
    rng = Random(seed)
    terms, changes = terms_of(rng), history_of(rng, MATURING_MAX, overdrawn=False)
    said = [Said(each.time, each.amount) for each in changes]
    until = rng.randrange(1, 60 * DAY)
    assert earned_until(changes, terms, until).micro == earned(said, terms, until) // 1
