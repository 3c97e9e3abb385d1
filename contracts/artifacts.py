"""What the contracts of `solidity/` compile to, as checked in under `artifacts/`."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

NAMES: Final = (
    *("ManyStakes", "MineableToken", "OddEvents", "OwnedWallet"),
    *("StakeToken", "StakingRewards"),
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A contract: its ABI as solc wrote it, and the code that deploys it (without arguments)."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes


def artifact(name: str) -> Artifact:
    """Return the contract of that name. Raises ValueError if there is none."""
    if name not in NAMES:
        raise ValueError(f"there is no contract {name!r}; there are {', '.join(NAMES)}")
    text = files("contracts").joinpath("artifacts", f"{name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return Artifact(name, content["abi"], bytes.fromhex(content["bytecode"].removeprefix("0x")))
