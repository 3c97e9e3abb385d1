"""What the books must come to, told once more in the simplest words.

An account has what it was granted and what it spent. Where that is less than nothing it is a debt.
"""

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
class Account:
    granted: dict[Cause, tuple[Earned, int]] = field(default_factory=dict)
    spent: int = 0

    @property
    def balance(self) -> int:
        return sum(amount for _, amount in self.granted.values()) - self.spent

    @property
    def available(self) -> int:
        return max(0, self.balance)

    @property
    def debt(self) -> int:
        return max(0, -self.balance)

    def charge(self, cost: int) -> bool:
        """Take the cost and say so; or nothing, if it is not there."""
        covered = cost <= self.available
        self.spent += cost if covered else 0
        return covered


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
                self.accounts[earned.wallet].granted.pop(earned.cause, None)
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
            granted |= {cause: amount for cause, (_, amount) in account.granted.items()}
        return granted

    def pending(self, block_hash: bytes) -> dict[Cause, int]:
        """What is seen and not confirmed by who has read up to a block."""
        blocks = self.path_to(block_hash)[len(self._confirmed) :]
        return {earned.cause: earned.credits for block in blocks for earned in self.earnings(block)}

    def _grant(self, earned: Earned) -> None:
        account, amount = self.accounts[earned.wallet], earned.credits
        if earned.day is not None:
            others = account.granted.values()
            used = sum(granted for other, granted in others if other.day == earned.day)
            amount = min(amount, self.stakes_per_day - used)
        if amount > 0:
            account.granted[earned.cause] = earned, amount
