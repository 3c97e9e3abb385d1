from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.configuration.rules import GRANT_MAX_MICRO, Rule, TooLarge, credits_for
from ledger.credits import MICRO_MAX

UINT256_MAX = 2**256 - 1
AMOUNTS = st.integers(0, UINT256_MAX) | st.integers(0, 10**24)


def credits_of(rule: Rule, amount: int, time: int = 0) -> int | TooLarge:
    return credits_for(rule, amount, time)


def rules(*, capped: bool | None = None) -> st.SearchStrategy[Rule]:
    caps = {False: st.none(), True: st.integers(1, GRANT_MAX_MICRO), None: st.none()}
    cap = st.none() | st.integers(1, GRANT_MAX_MICRO) if capped is None else caps[capped]
    return st.builds(
        Rule,
        credits_micro=st.integers(1, 10**12) | st.integers(1, GRANT_MAX_MICRO),
        per_base_units=st.integers(1, 10**24) | st.integers(1, UINT256_MAX),
        max_per_event_micro=cap,
    )


def credits_micro(rule: Rule, amount_base_units: int) -> int:
    match credits_of(rule, amount_base_units):
        case TooLarge(credits_micro=too_many):
            return too_many
        case int(granted):
            return granted


def test_ten_credits_per_token_are_ten_for_one_and_a_half_of_fifteen() -> None:
    rule = Rule(credits_micro=10_000_000, per_base_units=10**18)
    assert credits_of(rule, 15 * 10**17) == 15_000_000


def test_an_amount_too_small_for_a_millionth_earns_nothing() -> None:
    rule = Rule(credits_micro=10_000_000, per_base_units=10**18)
    assert credits_of(rule, 10**11 - 1) == 0
    assert credits_of(rule, 10**11) == 1


def test_one_event_earns_no_more_than_its_cap() -> None:
    rule = Rule(credits_micro=1, per_base_units=1, max_per_event_micro=100)
    assert [credits_of(rule, amount) for amount in (99, 100, 101, UINT256_MAX)] == [
        99,
        100,
        100,
        100,
    ]


def test_what_the_books_should_not_hold_is_set_aside_instead_of_granted() -> None:
    rule = Rule(credits_micro=1, per_base_units=1)
    assert credits_of(rule, GRANT_MAX_MICRO) == GRANT_MAX_MICRO
    assert credits_of(rule, GRANT_MAX_MICRO + 1) == TooLarge(GRANT_MAX_MICRO + 1)
    assert GRANT_MAX_MICRO < MICRO_MAX


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="never negative"):
        credits_of(Rule(credits_micro=1, per_base_units=1), -1)


@pytest.mark.parametrize(
    "field",
    [
        "credits_micro",
        "per_base_units",
        "max_per_event_micro",
        "max_per_account_micro",
        "max_per_account_day_micro",
        "expires_days",
    ],
)
def test_a_rule_of_zero_is_no_rule(field: str) -> None:
    numbers: dict[str, Any] = {"credits_micro": 1, "per_base_units": 1} | {field: 0}
    with pytest.raises(ValueError, match=field):
        Rule(**numbers)


@given(rules(capped=False), AMOUNTS)
@example(Rule(credits_micro=10_000_000, per_base_units=3), 1)
def test_credits_are_the_exact_fraction_less_under_one_micro(rule: Rule, amount: int) -> None:
    exact = Fraction(amount) * rule.credits_micro / rule.per_base_units
    assert 0 <= exact - credits_micro(rule, amount) < 1


@given(rules(), AMOUNTS, AMOUNTS)
def test_more_never_earns_less(rule: Rule, one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    assert credits_micro(rule, smaller) <= credits_micro(rule, larger)


@given(rules(capped=False), st.lists(AMOUNTS, min_size=1, max_size=8))
def test_splitting_an_amount_gains_nothing_and_loses_less_than_a_micro_each(
    rule: Rule, parts: list[int]
) -> None:
    split = sum(credits_micro(rule, part) for part in parts)
    assert 0 <= credits_micro(rule, sum(parts)) - split < len(parts)


@given(rules(capped=True), AMOUNTS)
def test_a_cap_is_never_passed_and_never_makes_a_grant_too_large(rule: Rule, amount: int) -> None:
    assert rule.max_per_event_micro is not None
    granted = credits_of(rule, amount)
    assert isinstance(granted, int)
    assert granted <= rule.max_per_event_micro


@given(rules(), AMOUNTS)
def test_no_grant_is_above_the_bound(rule: Rule, amount: int) -> None:
    match credits_of(rule, amount):
        case TooLarge(credits_micro=too_many):
            assert too_many > GRANT_MAX_MICRO
        case int(granted):
            assert granted <= GRANT_MAX_MICRO
