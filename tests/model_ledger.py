"""What the books must come to, told once more in the simplest words: lists of lots, in memory."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from fakechain import MINT, STAKED, FakeChain, MinedBlock
from scene import CREDIT, MINE, TOKEN, VAULT

Cause = tuple[bytes, int]  # a transaction and the ordinal of its log


@dataclass(frozen=True)
class Earned:
    """An event that earns: `credits` before caps."""

    cause: Cause
    wallet: bytes
    credits: int
    day: date | None  # of a source with a cap per day


@dataclass
class Lot:
    amount: int
    remaining: int
    of: Earned | None = None  # None: a refund that found its grant gone
    is_live: bool = True


@dataclass
class Account:
    """Lots in the order of their burning. A charge is a list of what it took from which lot."""

    lots: list[Lot] = field(default_factory=list)
    debt: int = 0

    @property
    def available(self) -> int:
        return sum(lot.remaining for lot in self.lots)

    def grant(self, earned: Earned, amount: int) -> None:
        repaid = min(self.debt, amount)
        self.debt -= repaid
        self.lots.append(Lot(amount, amount - repaid, earned))

    def reverse(self, earned: Earned) -> None:
        for lot in self.lots:
            if lot.of == earned and lot.is_live:
                self.debt += lot.amount - lot.remaining
                lot.remaining, lot.is_live = 0, False

    def charge(self, cost: int) -> list[tuple[Lot, int]] | None:
        """Take the cost and say from where; None, and nothing taken, if it is not there."""
        if self.available < cost:
            return None
        legs = []
        for lot in list(self.lots):
            part = min(cost, lot.remaining)
            if part > 0:
                lot.remaining -= part
                cost -= part
                legs.append((lot, part))
        return legs

    def refund(self, legs: list[tuple[Lot, int]], amount: int) -> None:
        """Give back to the last legs first; what was given back leaves the legs."""
        while amount > 0:
            lot, taken = legs.pop()
            part = min(taken, amount)
            amount -= part
            if part < taken:
                legs.append((lot, taken - part))
            if lot.is_live:
                lot.remaining += part
                continue
            repaid = min(self.debt, part)
            self.debt -= repaid
            if part > repaid:
                self.lots.append(Lot(part - repaid, part - repaid))


class ModelLedger:
    """The accounts of all wallets, as a chain confirmed up to some block makes them."""

    def __init__(self, chain: FakeChain, *, stakes_per_day: int) -> None:
        self.chain = chain
        self.stakes_per_day = stakes_per_day
        self.accounts: Mapping[bytes, Account] = defaultdict(Account)
        self._confirmed: list[MinedBlock] = []

    def confirm(self, block_hash: bytes) -> None:
        """Be confirmed up to a block, wherever it is: what it leaves behind is reversed."""
        path = self.path_to(block_hash)
        common = 0
        for ours, theirs in zip(self._confirmed, path, strict=False):
            if ours.hash != theirs.hash:
                break
            common += 1
        for block in reversed(self._confirmed[common:]):
            for earned in reversed(self.earnings(block)):
                self.accounts[earned.wallet].reverse(earned)
        for block in path[common:]:
            for earned in self.earnings(block):
                self._grant(earned)
        self._confirmed = path

    def path_to(self, block_hash: bytes) -> list[MinedBlock]:
        """The chain that ends with a block, from its genesis on."""
        path = []
        while block_hash != bytes(32):
            path.append(self.chain.by_hash[block_hash])
            block_hash = path[-1].parent
        return path[::-1]

    def earnings(self, block: MinedBlock) -> list[Earned]:
        day = datetime.fromtimestamp(block.time, UTC).date()
        found = []
        for log in block.logs:
            cause = log.tx_hash, log.ordinal
            wallet = log.topics[1][12:]
            credits_micro = int.from_bytes(log.data[:32]) * CREDIT // TOKEN
            if (log.address, log.topics[0]) == (MINE, MINT):
                found.append(Earned(cause, wallet, credits_micro, None))
            elif (log.address, log.topics[0], len(log.data)) == (VAULT, STAKED, 32):
                found.append(Earned(cause, wallet, credits_micro, day))
        return found

    def granted(self) -> dict[Cause, int]:
        """What each confirmed event was granted."""
        granted = {earned.cause: 0 for block in self._confirmed for earned in self.earnings(block)}
        for account in self.accounts.values():
            for lot in account.lots:
                if lot.of is not None and lot.is_live:
                    granted[lot.of.cause] = lot.amount
        return granted

    def pending(self, block_hash: bytes) -> dict[Cause, int]:
        """What is seen and not confirmed by who has read up to a block."""
        blocks = self.path_to(block_hash)[len(self._confirmed) :]
        return {earned.cause: earned.credits for block in blocks for earned in self.earnings(block)}

    def _grant(self, earned: Earned) -> None:
        account, amount = self.accounts[earned.wallet], earned.credits
        if earned.day is not None:
            used = sum(
                lot.amount
                for lot in account.lots
                if lot.is_live and lot.of is not None and lot.of.day == earned.day
            )
            amount = min(amount, self.stakes_per_day - used)
        if amount > 0:
            account.grant(earned, amount)
