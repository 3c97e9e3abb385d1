"""What the protocol itself gives, without a log: for blocks, for uncles, and by withdrawals."""

from dataclasses import dataclass
from typing import Final, Literal

# A block's coinbase, an ommer's (yellow paper, section 11.3), and EIP-4895.
RewardKind = Literal["block", "uncle", "withdrawal"]
REWARD_KINDS: Final[tuple[RewardKind, ...]] = ("block", "uncle", "withdrawal")

WITHDRAWAL_DECIMALS: Final = 9  # withdrawals are in gwei
GENERATED: Final = 1  # the amount of a block or an uncle: it counts, whatever it paid


@dataclass(frozen=True, slots=True)
class Reward:
    """A block or an uncle that `wallet` (20 bytes) made, or a withdrawal to it.

    `identity` is 32 bytes that stay the same in whichever block it is included: the hash of a
    block or an uncle, the index of a withdrawal. `amount` is GENERATED, or a withdrawal's gwei: a
    validator that leaves withdraws its whole stake so. `position` counts those of its kind in the
    block. `validator` is the index of the withdrawal's, None for others.
    """

    kind: RewardKind
    identity: bytes
    wallet: bytes
    amount: int
    position: int = 0
    validator: int | None = None

    @property
    def said(self) -> str:
        """Which one it is, for a person."""
        if self.kind != "withdrawal":
            return f"{self.kind} 0x{self.identity.hex()}"
        index = int.from_bytes(self.identity)
        return f"withdrawal {index} of validator {self.validator}"
