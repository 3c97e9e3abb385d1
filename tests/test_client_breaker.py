"""The client's breaker, by a clock of its own."""

import pytest
from creditd_client import Breaker
from hypothesis import given
from hypothesis import strategies as st

OPEN = 10.0
FAILURES = 3


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def breaker(clock: Clock) -> Breaker:
    return Breaker(failures_max=FAILURES, open_seconds=OPEN, now=clock)


def test_it_opens_at_its_bound_and_lets_one_probe() -> None:
    clock = Clock()
    made = breaker(clock)
    for _ in range(FAILURES):
        assert made.wait_seconds() is None
        made.failed()
    clock.seconds = 4
    assert made.wait_seconds() == 6
    clock.seconds = OPEN
    assert made.wait_seconds() is None  # the probe
    assert made.wait_seconds() == OPEN
    made.failed()
    clock.seconds = 15
    assert made.wait_seconds() == 5
    clock.seconds = 20
    assert made.wait_seconds() is None
    made.answered()
    assert made.wait_seconds() is None
    assert made.wait_seconds() is None


def test_a_probe_that_nobody_hears_of_is_followed_by_another() -> None:
    clock = Clock()
    made = breaker(clock)
    for _ in range(FAILURES):
        made.failed()
    clock.seconds = OPEN
    assert made.wait_seconds() is None
    clock.seconds = 2 * OPEN
    assert made.wait_seconds() is None


@given(st.lists(st.sampled_from(["answered", "failed", "wait"]), max_size=60))
def test_it_is_open_exactly_after_failures_in_a_row_and_never_for_longer_than_it_may(
    story: list[str],
) -> None:
    clock = Clock()
    made = breaker(clock)
    in_a_row, opened_at = 0, 0.0
    for event in story:
        if event == "wait":
            clock.seconds += 4
        elif event == "answered":
            made.answered()
            in_a_row = 0
        else:
            made.failed()
            in_a_row += 1
            opened_at = clock.seconds
        seconds = made.wait_seconds()
        if in_a_row < FAILURES:
            assert seconds is None
        elif seconds is None:
            assert clock.seconds - opened_at >= OPEN
            opened_at = clock.seconds
        else:
            assert seconds == OPEN - (clock.seconds - opened_at)


def test_a_breaker_that_never_lets_through_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Breaker(failures_max=0)
