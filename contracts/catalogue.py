"""The events that can be named without writing their signature down."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.events import EventType


def _catalogue(*events: EventType) -> Mapping[str, EventType]:
    return MappingProxyType({event.name: event for event in events})


def _event(name: str, signature: str, wallet: str, amount: str) -> EventType:
    return EventType.parse(signature, name=name, wallet=wallet, amount=amount)


# Who is credited is whose the stake is, not who paid for it: `onBehalfOf`, `owner`, `to`.
EVENTS: Final = _catalogue(
    # Synthetix StakingRewards and its forks.
    _event(
        "staking-rewards.Staked", "Staked(address indexed user,uint256 amount)", "user", "amount"
    ),
    _event(
        "staking-rewards.Withdrawn",
        "Withdrawn(address indexed user,uint256 amount)",
        "user",
        "amount",
    ),
    _event(
        "staking-rewards.RewardPaid",
        "RewardPaid(address indexed user,uint256 reward)",
        "user",
        "reward",
    ),
    # ERC-900.
    _event(
        "erc900.Staked",
        "Staked(address indexed user,uint256 amount,uint256 total,bytes data)",
        "user",
        "amount",
    ),
    # Aave's safety module: without shares in its first version, with them since.
    _event(
        "aave-stake-v1.Staked",
        "Staked(address indexed from,address indexed onBehalfOf,uint256 amount)",
        "onBehalfOf",
        "amount",
    ),
    _event(
        "aave-stake.Staked",
        "Staked(address indexed from,address indexed onBehalfOf,uint256 assets,uint256 shares)",
        "onBehalfOf",
        "shares",
    ),
    # MasterChef: pools by their number, which `where` can choose. What leaves one was its user's;
    # `to` is only where it goes.
    _event(
        "masterchef.Deposit",
        "Deposit(address indexed user,uint256 indexed pid,uint256 amount)",
        "user",
        "amount",
    ),
    _event(
        "masterchef.Withdraw",
        "Withdraw(address indexed user,uint256 indexed pid,uint256 amount)",
        "user",
        "amount",
    ),
    _event(
        "masterchef.EmergencyWithdraw",
        "EmergencyWithdraw(address indexed user,uint256 indexed pid,uint256 amount)",
        "user",
        "amount",
    ),
    _event(
        "masterchef-v2.Deposit",
        "Deposit(address indexed user,uint256 indexed pid,uint256 amount,address indexed to)",
        "to",
        "amount",
    ),
    _event(
        "masterchef-v2.Withdraw",
        "Withdraw(address indexed user,uint256 indexed pid,uint256 amount,address indexed to)",
        "user",
        "amount",
    ),
    _event(
        "masterchef-v2.EmergencyWithdraw",
        "EmergencyWithdraw(address indexed user,uint256 indexed pid,uint256 amount,"
        "address indexed to)",
        "user",
        "amount",
    ),
    _event(
        "masterchef-v2.Harvest",
        "Harvest(address indexed user,uint256 indexed pid,uint256 amount)",
        "user",
        "amount",
    ),
    # ERC-4626. The price of a share can be moved by whoever donates: credits go by shares.
    _event(
        "erc4626.Deposit",
        "Deposit(address indexed sender,address indexed owner,uint256 assets,uint256 shares)",
        "owner",
        "shares",
    ),
    # ERC-20, from either side. `where = { to = "0x…" }` makes it what comes in somewhere.
    _event(
        "erc20.Transfer",
        "Transfer(address indexed from,address indexed to,uint256 value)",
        "from",
        "value",
    ),
    _event(
        "erc20.Transfer.to",
        "Transfer(address indexed from,address indexed to,uint256 value)",
        "to",
        "value",
    ),
    # Lido's shares: balances of stETH move without any Transfer, and burning shows as no transfer.
    _event(
        "lido.TransferShares",
        "TransferShares(address indexed from,address indexed to,uint256 sharesValue)",
        "from",
        "sharesValue",
    ),
    _event(
        "lido.TransferShares.to",
        "TransferShares(address indexed from,address indexed to,uint256 sharesValue)",
        "to",
        "sharesValue",
    ),
    _event(
        "lido.SharesBurnt",
        "SharesBurnt(address indexed account,uint256 preRebaseTokenAmount,"
        "uint256 postRebaseTokenAmount,uint256 sharesAmount)",
        "account",
        "sharesAmount",
    ),
    # Vote escrows after Curve's.
    _event(
        "ve-lock.Deposit",
        "Deposit(address indexed provider,uint256 value,uint256 indexed locktime,int128 type,"
        "uint256 ts)",
        "provider",
        "value",
    ),
    _event(
        "ve-lock.Withdraw",
        "Withdraw(address indexed provider,uint256 value,uint256 ts)",
        "provider",
        "value",
    ),
    _event(
        "lido.Submitted",
        "Submitted(address indexed sender,uint256 amount,address referral)",
        "sender",
        "amount",
    ),
    # EIP-918. The first token of its kind emits no Transfer with it.
    _event(
        "eip918.Mint",
        "Mint(address indexed from,uint256 rewardAmount,uint256 epochCount,"
        "bytes32 newChallengeNumber)",
        "from",
        "rewardAmount",
    ),
    # Merkle distributors: Uniswap's, Angle's, and the plain one.
    _event(
        "merkle-claim.Claimed",
        "Claimed(uint256 index,address account,uint256 amount)",
        "account",
        "amount",
    ),
    _event(
        "merkle-claim-token.Claimed",
        "Claimed(address indexed user,address indexed token,uint256 amount)",
        "user",
        "amount",
    ),
    _event(
        "merkle-claim-plain.Claimed",
        "Claimed(address account,uint256 amount)",
        "account",
        "amount",
    ),
)
# What pays for work; all others are about what is staked.
MINING_EVENTS: Final = frozenset(
    {
        "eip918.Mint",
        "merkle-claim.Claimed",
        "merkle-claim-token.Claimed",
        "merkle-claim-plain.Claimed",
    }
)
