"""How the chain's own facts are shown: hashes, and what the protocol gives."""

from api.accounts import wire
from ledger.causes import RewardOrigin


def reward_shown(reward: RewardOrigin | None) -> wire.Reward | None:
    """Return what was given by the protocol, if it was."""
    if reward is None:
        return None
    return wire.Reward(kind=reward.kind, hash=hash_shown(reward.hash), index=reward.index)


def hash_shown(value: bytes | None) -> str | None:
    """Return a hash as `0x…`, None for None."""
    return None if value is None else f"0x{value.hex()}"
