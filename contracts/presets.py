"""Sources that most operators want: contracts of a known kind, and what their events mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from contracts.catalogue import EVENTS
from contracts.events import EventType

# What an event does to its wallet: it earns by itself, or it adds to a stake or takes from it.
Role = Literal["earns", "adds", "takes"]


@dataclass(frozen=True, slots=True)
class Preset:
    """The events of contracts of one kind, each with its role.

    `narrowed_by` names the fields without which `where` would say nothing sensible: of all that
    comes in, say, where it comes in.
    """

    name: str
    parts: tuple[tuple[EventType, Role], ...]
    narrowed_by: tuple[str, ...] = ()


def _preset(
    name: str,
    *,
    earns: tuple[str, ...] = (),
    adds: tuple[str, ...] = (),
    takes: tuple[str, ...] = (),
    narrowed_by: tuple[str, ...] = (),
) -> Preset:
    roles: tuple[tuple[tuple[str, ...], Role], ...] = (
        (earns, "earns"),
        (adds, "adds"),
        (takes, "takes"),
    )
    parts = tuple((EVENTS[event], role) for events, role in roles for event in events)
    return Preset(name, parts, narrowed_by)


_ALL: Final = (
    _preset(
        "staking-rewards",
        adds=("staking-rewards.Staked",),
        takes=("staking-rewards.Withdrawn",),
    ),
    # Of one pool: pools stake different tokens.
    _preset(
        "masterchef",
        adds=("masterchef.Deposit", "masterchef-v2.Deposit"),
        takes=(
            "masterchef.Withdraw",
            "masterchef.EmergencyWithdraw",
            "masterchef-v2.Withdraw",
            "masterchef-v2.EmergencyWithdraw",
        ),
        narrowed_by=("pid",),
    ),
    # A token that is held: shares of a vault (ERC-4626), wrapped stakes, LP tokens.
    _preset("erc20-holding", adds=("erc20.Transfer.to",), takes=("erc20.Transfer",)),
    _preset(
        "lido-shares",
        adds=("lido.TransferShares.to",),
        takes=("lido.TransferShares", "lido.SharesBurnt"),
    ),
    _preset("erc20-transfer-in", earns=("erc20.Transfer",), narrowed_by=("to",)),
    _preset("ve-lock", adds=("ve-lock.Deposit",), takes=("ve-lock.Withdraw",)),
    _preset("eip918-mint", earns=("eip918.Mint",)),
    # A contract has one of these: the others never match.
    _preset(
        "merkle-claim",
        earns=(
            "merkle-claim.Claimed",
            "merkle-claim-token.Claimed",
            "merkle-claim-plain.Claimed",
        ),
    ),
)
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({each.name: each for each in _ALL})
