"""What the books must say, told from the chain's own records by the rules in other words."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from fakechain import MINT, STAKED, Event, MinedBlock
from scene import MINE, VAULT

from simulation.stakes import Held, accrued, moved

Cause = tuple[bytes, int]  # a transaction, and the place of the log among its logs

# In micro-credits: whatever would earn more in one go is for a person to look at.
TOO_MUCH = 10**18


@dataclass(frozen=True)
class Terms:
    """What one source earns: `credits_micro` for each `per` base units, floored.

    Not before block `first`, not after block `last`; not more than `most` for one event, nor than
    `most_a_day` for one account and day.
    """

    name: str
    contract: bytes
    topic: bytes
    words: int  # of the event's data
    credits_micro: int
    per: int
    first: int = 0
    last: int | None = None
    most: int | None = None
    most_a_day: int | None = None

    def covers(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True)
class Earned:
    cause: Cause
    wallet: bytes
    credits_micro: int
    terms: Terms
    day: date


@dataclass
class Should:
    """The events that are granted, how much, and to whom; the same of those seen; the rest."""

    confirmed: dict[Cause, tuple[bytes, int]] = field(default_factory=dict)
    pending: dict[Cause, tuple[bytes, int]] = field(default_factory=dict)
    set_aside: set[Cause] = field(default_factory=set)
    # What may be granted of the block after the last confirmed one, if it ends a period of stakes.
    early: dict[Cause, tuple[bytes, int]] = field(default_factory=dict)

    def balances(self) -> Mapping[bytes, int]:
        sums: dict[bytes, int] = defaultdict(int)
        for wallet, amount in self.confirmed.values():
            sums[wallet] += amount
        return {wallet: total for wallet, total in sums.items() if total}


def told(
    path: Sequence[MinedBlock],
    confirmed: int,
    sources: Sequence[Terms],
    held: Held | None = None,
) -> Should:
    """Return what books must say that are at the end of `path`, and confirmed up to a height."""
    should = Should()
    given: dict[tuple[str, bytes, date], int] = defaultdict(int)
    for block in path:
        for earned in _of(block, sources, should.set_aside):
            if block.number > confirmed:
                should.pending[earned.cause] = earned.wallet, earned.credits_micro
                continue
            amount = earned.credits_micro
            if earned.terms.most_a_day is not None:
                used = earned.terms.name, earned.wallet, earned.day
                amount = min(amount, earned.terms.most_a_day - given[used])
                given[used] += amount
            should.confirmed[earned.cause] = earned.wallet, amount
    if held is not None:
        _tell_stakes(should, path, confirmed, held)
    return should


def _tell_stakes(should: Should, path: Sequence[MinedBlock], confirmed: int, held: Held) -> None:
    """Add what moves stakes, which earns nothing by itself, and what they earn by time."""
    for block in path:
        seen = should.confirmed if block.number <= confirmed else should.pending
        seen.update((move.cause, (move.wallet, 0)) for move in moved(block, held))
    for each in accrued(path[: confirmed + 2], held):
        granted = should.confirmed if each.number <= confirmed else should.early
        granted[each.cause] = each.wallet, each.credits_micro


def _of(block: MinedBlock, sources: Sequence[Terms], set_aside: set[Cause]) -> list[Earned]:
    day = datetime.fromtimestamp(block.time, UTC).date()
    found = []
    for tx in block.txs:
        for ordinal, event in enumerate(() if tx.reverted else tx.events):
            cause = tx.hash, ordinal
            terms = _source(event, block.number, sources)
            if terms is None:
                continue
            wallet = event.topics[1][12:]
            credits_micro = int.from_bytes(event.data[:32]) * terms.credits_micro // terms.per
            if terms.most is not None:
                credits_micro = min(credits_micro, terms.most)
            is_whole, is_known = len(event.data) == 32 * terms.words, wallet != bytes(20)
            if not is_whole or (is_known and credits_micro > TOO_MUCH):
                set_aside.add(cause)
            elif is_known and int.from_bytes(event.data[:32]):  # nothing is no event
                found.append(Earned(cause, wallet, credits_micro, terms, day))
    return found


def _source(event: Event, number: int, sources: Sequence[Terms]) -> Terms | None:
    for terms in sources:
        of_it = event.address == terms.contract and event.topics[:1] == (terms.topic,)
        if of_it and terms.covers(number):
            return terms
    return None


STAKES = Terms("stakes", VAULT, STAKED, 1, 1_000_000, 10**18)
MINING = Terms("mining", MINE, MINT, 3, 1_000_000, 10**18)
