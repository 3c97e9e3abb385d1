"""What to do next, for every way in which a node's word and the books can stand to each other."""

from dataclasses import dataclass, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.watching.steps import (
    Confirm,
    Drop,
    Extend,
    Fork,
    Halt,
    Reverse,
    Wait,
    after_fork,
    next_step,
    shared_height,
)
from ledger.watching import Position

OURS = b"\x01" * 32
OTHER = b"\x02" * 32
READ_TO_100 = Position(
    state="following",
    reason=None,
    indexed_number=100,
    indexed_hash=OURS,
    confirmed_number=97,
    granted_number=97,
)
HALTED = replace(READ_TO_100, state="halted", reason="the chain left block 97")


def decided(
    position: Position = READ_TO_100,
    *,
    head: int,
    final: int | None = None,
    node: bytes | None = OURS,
    books: bytes | None = OURS,
    span_max: int = 10,
) -> Wait | Extend | Confirm | Fork:
    return next_step(
        position,
        head_number=head,
        final_number=head - 3 if final is None else final,
        node_hash=node,
        books_hash=books,
        span_max=span_max,
    )


def test_the_shared_height_is_the_lower_of_the_two() -> None:
    assert shared_height(READ_TO_100, 90) == 90
    assert shared_height(READ_TO_100, 100) == 100
    assert shared_height(READ_TO_100, 110) == 100


def test_new_blocks_are_read_up_to_the_head() -> None:
    assert decided(head=101) == Extend(101, 101)
    assert decided(head=104) == Extend(101, 104)


def test_history_is_read_one_span_at_a_time() -> None:
    assert decided(head=5_000, span_max=10) == Extend(101, 110)
    assert decided(head=110, span_max=10) == Extend(101, 110)
    assert decided(head=109, span_max=10) == Extend(101, 109)


def test_what_has_become_final_without_a_new_block_is_confirmed() -> None:
    assert decided(head=100, final=98) == Confirm(98)
    assert decided(head=100, final=100) == Confirm(100)


def test_no_more_is_confirmed_than_has_been_read() -> None:
    assert decided(head=100, final=120) == Confirm(100)


def test_what_became_final_in_a_long_pause_is_confirmed_one_span_at_a_time() -> None:
    assert decided(head=100, final=100, span_max=2) == Confirm(99)
    assert decided(head=100, final=100, span_max=3) == Confirm(100)


@pytest.mark.parametrize("final", [-3, 0, 96, 97])
def test_at_the_newest_block_with_nothing_more_final_there_is_nothing_to_do(final: int) -> None:
    step = decided(head=100, final=final)
    assert isinstance(step, Wait)
    assert step.agrees


@pytest.mark.parametrize("head", [99, 97, 50, 0])
@pytest.mark.parametrize("final", [0, 97, 98, 120])
def test_a_node_that_lags_behind_changes_nothing_and_confirms_nothing(
    head: int, final: int
) -> None:
    step = decided(head=head, final=final)
    assert isinstance(step, Wait)
    assert not step.agrees


@pytest.mark.parametrize("head", [90, 100, 110])
def test_a_height_that_one_of_the_two_does_not_know_proves_nothing(head: int) -> None:
    for step in (decided(head=head, node=None), decided(head=head, books=None)):
        assert isinstance(step, Wait)
        assert not step.agrees


@pytest.mark.parametrize(("head", "at"), [(90, 90), (100, 100), (110, 100)])
def test_another_hash_at_the_same_height_is_a_fork(head: int, at: int) -> None:
    assert decided(head=head, node=OTHER) == Fork(at)


def test_a_halted_chain_is_looked_at_like_any_other() -> None:
    assert decided(HALTED, head=101) == Extend(101, 101)
    assert decided(HALTED, head=100, node=OTHER) == Fork(100)
    step = decided(HALTED, head=100, final=97)
    assert isinstance(step, Wait)
    assert step.agrees


@pytest.mark.parametrize("mode", ["halt", "reverse"])
@pytest.mark.parametrize("ancestor", [97, 98, 99])
def test_a_fork_above_the_confirmed_block_drops_pending_blocks(
    mode: Literal["halt", "reverse"], ancestor: int
) -> None:
    assert after_fork(READ_TO_100, ancestor, reverses=mode == "reverse") == Drop(ancestor)


@pytest.mark.parametrize("ancestor", [0, 50, 96])
def test_a_fork_below_the_confirmed_block_halts_or_reverses_as_configured(ancestor: int) -> None:
    halt = after_fork(READ_TO_100, ancestor, reverses=False, other_hash=OTHER, name="town")
    assert isinstance(halt, Halt)
    assert halt.other_hash == OTHER
    assert (
        f"left block 97, which was confirmed: it parts from the books above block {ancestor}"
        in (halt.reason)
    )
    assert f"creditd reorg accept town --block 97 --hash 0x{OTHER.hex()}" in halt.reason
    assert after_fork(READ_TO_100, ancestor, reverses=True) == Reverse(ancestor)


def test_a_new_history_that_does_not_reach_the_confirmed_block_yet_cannot_be_accepted() -> None:
    halt = after_fork(READ_TO_100, 96, reverses=False, name="town")
    assert isinstance(halt, Halt)
    assert halt.other_hash is None
    assert "reorg accept" not in halt.reason


@pytest.mark.parametrize("mode", ["halt", "reverse"])
def test_chains_without_a_common_block_halt_in_either_mode(
    mode: Literal["halt", "reverse"],
) -> None:
    halt = after_fork(READ_TO_100, None, reverses=mode == "reverse")
    assert isinstance(halt, Halt)
    assert "no remembered block in common" in halt.reason


@st.composite
def positions(draw: st.DrawFn) -> Position:
    confirmed = draw(st.integers(-1, 200))
    indexed = confirmed + draw(st.integers(0, 60))
    state = draw(st.sampled_from(["syncing", "following", "halted"]))
    reason = "it parted" if state == "halted" else None
    granted = draw(st.integers(confirmed, min(confirmed + 1, indexed)))
    return Position(state, reason, indexed, OURS, confirmed, granted)


@dataclass(frozen=True)
class Sight:
    """Whatever a node may say, and wherever the books may stand."""

    position: Position
    head: int
    final: int
    node: bytes | None
    books: bytes | None
    span_max: int

    def step(self) -> Wait | Extend | Confirm | Fork:
        return next_step(
            self.position,
            head_number=self.head,
            final_number=self.final,
            node_hash=self.node,
            books_hash=self.books,
            span_max=self.span_max,
        )


heights = st.integers(-1, 300)
hashes = st.sampled_from([OURS, OTHER, None])


def sights() -> st.SearchStrategy[Sight]:
    return st.builds(Sight, positions(), heights, heights, hashes, hashes, st.integers(1, 500))


modes: st.SearchStrategy[Literal["halt", "reverse"]] = st.sampled_from(["halt", "reverse"])


@given(positions(), st.data(), st.integers(1, 500))
def test_a_lower_head_on_the_same_chain_never_takes_anything_back(
    position: Position, data: st.DataObject, span_max: int
) -> None:
    head = data.draw(st.integers(-1, position.indexed_number))
    final = data.draw(st.integers(-1, 300))
    step = decided(position, head=head, final=final, span_max=span_max)
    assert isinstance(step, Wait | Confirm)
    if head < position.indexed_number:
        assert isinstance(step, Wait)


@given(sights())
def test_a_fork_needs_two_hashes_that_differ_at_the_shared_height(
    sight: Sight,
) -> None:
    step = sight.step()
    known = sight.node is not None and sight.books is not None
    assert isinstance(step, Fork) == (known and sight.node != sight.books)
    if isinstance(step, Fork):
        assert step.number == shared_height(sight.position, sight.head)


@given(sights())
def test_reading_never_skips_a_block_nor_passes_the_head_or_the_span(
    sight: Sight,
) -> None:
    step = sight.step()
    if isinstance(step, Extend):
        assert step.first == sight.position.indexed_number + 1
        assert step.first <= step.last <= sight.head
        assert step.last - step.first < sight.span_max
        assert step.last == sight.head or step.last - step.first == sight.span_max - 1


@given(sights())
def test_confirming_only_goes_up_and_only_over_blocks_both_have(
    sight: Sight,
) -> None:
    step = sight.step()
    if isinstance(step, Confirm):
        assert sight.node == sight.books
        assert sight.position.confirmed_number < step.number <= sight.final
        assert step.number - sight.position.confirmed_number <= sight.span_max
        assert step.number <= shared_height(sight.position, sight.head)


@given(positions(), st.integers(1, 500), st.integers(0, 40), st.integers(0, 500))
def test_steps_along_a_still_chain_come_to_its_end_and_rest(
    position: Position, span: int, depth: int, ahead: int
) -> None:
    head = position.indexed_number + ahead
    for _ in range((ahead + head - position.confirmed_number) // span + 5):
        step = decided(position, head=head, final=head - depth, span_max=span)
        match step:
            case Extend(_, last):
                final = min(head - depth, last, position.confirmed_number + span)
                confirmed = max(position.confirmed_number, final)
                position = replace(position, indexed_number=last, confirmed_number=confirmed)
            case Confirm(number):
                position = replace(position, confirmed_number=number)
    assert isinstance(step, Wait)
    assert step.agrees
    assert position.indexed_number == head
    assert position.confirmed_number >= head - depth


@given(positions(), st.one_of(st.none(), heights), modes)
def test_a_fork_never_drops_below_what_was_granted(
    position: Position, ancestor: int | None, mode: Literal["halt", "reverse"]
) -> None:
    step = after_fork(position, ancestor, reverses=mode == "reverse")
    match step:
        case Drop(to_number):
            assert position.granted_number <= to_number == ancestor
        case Reverse(to_number):
            assert mode == "reverse"
            assert to_number == ancestor
            assert to_number < position.granted_number
        case Halt(reason):
            assert ancestor is None or (mode == "halt" and ancestor < position.granted_number)
            assert reason
