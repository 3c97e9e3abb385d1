"""What stakes must be granted for the time they are held, told from the chain's own records."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fakechain import STAKED, WITHDRAWN, MinedBlock
from staking_model import Change, earned

from ledger.watching import StakeTerms


@dataclass(frozen=True)
class Held:
    """A contract whose stakes earn: micro-credits for each `per` base units and `every_seconds`."""

    contract: bytes
    credits_micro: int
    per: int
    every_seconds: int
    period_seconds: int
    hold_seconds: int

    @property
    def terms(self) -> StakeTerms:
        divisor = self.per * self.every_seconds
        rates = ((0, self.credits_micro),)
        return StakeTerms(divisor, rates, self.period_seconds, self.hold_seconds)


@dataclass(frozen=True)
class Moved:
    """A wallet's stake grew, or shrank, by a log of a transaction."""

    cause: tuple[bytes, int]
    wallet: bytes
    amount: int


@dataclass(frozen=True)
class Accrued:
    """What a stake earned in a period that ends with block `number`.

    Its cause is the period's end and the wallet.
    """

    number: int
    cause: tuple[bytes, int]
    wallet: bytes
    credits_micro: int


def moved(block: MinedBlock, held: Held) -> Iterator[Moved]:
    """Give what a block's logs do to stakes."""
    for tx in block.txs:
        for ordinal, event in enumerate(() if tx.reverted else tx.events):
            if event.address != held.contract or event.topics[0] not in {STAKED, WITHDRAWN}:
                continue
            amount = int.from_bytes(event.data)
            if amount:
                taken = event.topics[0] == WITHDRAWN
                yield Moved((tx.hash, ordinal), event.topics[1][12:], -amount if taken else amount)


def accrued(path: Sequence[MinedBlock], held: Held) -> Iterator[Accrued]:
    """Give what stakes have earned in the periods that ended, each at the first block after it."""
    changes: dict[bytes, list[Change]] = defaultdict(list)
    given: dict[bytes, int] = defaultdict(int)
    for before, block in pairwise(path):
        for move in moved(before, held):
            changes[move.wallet].append(Change(before.time, move.amount))
        period = held.period_seconds
        for end in range(before.time - before.time % period + period, block.time + 1, period):
            for wallet in sorted(changes):
                so_far = int(earned(changes[wallet], held.terms, end))
                credits_micro, given[wallet] = so_far - given[wallet], so_far
                if credits_micro:
                    cause = end.to_bytes(8) + wallet, -1
                    yield Accrued(block.number, cause, wallet, credits_micro)
