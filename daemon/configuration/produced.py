"""What the protocol gives, as the configuration follows it: the preset `block-producer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from contracts.rewards import REWARD_KINDS, WITHDRAWAL_DECIMALS, Reward, RewardKind
from daemon.configuration.addresses import read_accounts
from daemon.configuration.mistakes import shown
from daemon.configuration.rule_reader import read_tokens
from daemon.configuration.toml_reader import Table

BLOCK_PRODUCER: Final = "block-producer"
# Validators of one operator share their withdrawal addresses: more is a mistake.
ADDRESSES_MAX: Final = 1_000

DECIMALS: Final[Mapping[RewardKind, int]] = MappingProxyType(
    {"block": 0, "uncle": 0, "withdrawal": WITHDRAWAL_DECIMALS}
)


@dataclass(frozen=True, slots=True)
class Produced:
    """What of the protocol's rewards a source follows: those to `addresses`, empty for everybody's.

    A withdrawal of more than `max_reward` gwei may be of what was staked, and nobody earns by
    taking out his own.
    """

    reward: RewardKind
    addresses: tuple[bytes, ...] = ()
    max_reward: int | None = None

    @property
    def text(self) -> str:
        """What it is, as the books keep it, a line for each address."""
        if not self.addresses:
            return self.reward
        return "\n".join(f"{self.reward} to 0x{each.hex()}" for each in self.addresses)

    @property
    def is_open(self) -> bool:
        """Whether anybody's withdrawals earn, whatever they are of."""
        return self.reward == "withdrawal" and not self.addresses

    def wants(self, reward: Reward) -> bool:
        """Return whether a reward is one of those it is about. Nobody has the zero address."""
        is_meant = not self.addresses or reward.wallet in self.addresses
        return reward.kind == self.reward and is_meant and any(reward.wallet)

    def doubt(self, reward: Reward) -> str | None:
        """Return why a reward may be none, None if there is nothing to doubt."""
        if self.max_reward is None or reward.amount <= self.max_reward:
            return None
        return (
            f"{reward.amount} gwei are more than max_reward ({self.max_reward}), and may be of what"
            " was staked"
        )

    def clashes(self, other: "Produced") -> bool:
        """Return whether one reward could be both."""
        are_apart = (
            self.addresses and other.addresses and not set(self.addresses) & set(other.addresses)
        )
        return self.reward == other.reward and not are_apart


def read_produced(table: Table) -> Produced:
    """Return what a table whose preset is `block-producer` follows."""
    wanted = '"block", "uncle" or "withdrawal"'
    choice = table.text("reward", wanted=wanted)
    reward: RewardKind = next((kind for kind in REWARD_KINDS if kind == choice), "block")
    if choice and choice != reward:
        table.mistake("reward", f"must be {wanted} (got {shown(choice)})")
    addresses: tuple[bytes, ...] = ()
    if table.value("addresses") is not None:
        addresses = read_accounts(table, "addresses", "an account", ADDRESSES_MAX)
    is_withdrawal = choice == "withdrawal"
    max_reward = read_tokens(table, "max_reward", WITHDRAWAL_DECIMALS) if is_withdrawal else None
    return Produced(reward, addresses, max_reward)
