"""The events that can be named without writing their signature down."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.events import EventType


def _catalogue(*events: EventType) -> Mapping[str, EventType]:
    return MappingProxyType({event.name: event for event in events})


EVENTS: Final = _catalogue(
    EventType.parse(
        "Staked(address indexed user,uint256 amount)",
        name="staking-rewards.Staked",
        wallet="user",
        amount="amount",
    ),
    EventType.parse(
        "Withdrawn(address indexed user,uint256 amount)",
        name="staking-rewards.Withdrawn",
        wallet="user",
        amount="amount",
    ),
    EventType.parse(
        "RewardPaid(address indexed user,uint256 reward)",
        name="staking-rewards.RewardPaid",
        wallet="user",
        amount="reward",
    ),
    EventType.parse(
        "Mint(address indexed from,uint256 rewardAmount,uint256 epochCount,"
        "bytes32 newChallengeNumber)",
        name="eip918.Mint",
        wallet="from",
        amount="rewardAmount",
    ),
)
