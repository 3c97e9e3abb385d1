"""What is known of some twenty chains: when their blocks are final, and what of them can be proven.

No package of chain data says when a block is final, so this table does. A row holds what its
sources say and no more:

- finality and reorgs: ethereum.org (two epochs), docs.polygon.technology (milestones), BNB Chain
  BEP-126 and BEP-619, docs.celo.org/specs/finality for the OP stack, OffchainLabs/nitro v2.0.10,
  docs.monad.xyz/monad-arch/consensus/block-states, ethereumclassic.com/news/reorg-mitigation;
  geth before the merge refuses the tag `finalized` (go-ethereum#26862)
- what recomputes: headers and receipts of Ethereum's forks and of the OP stack's are compared with
  the specification and with anvil in the tests; that Arbitrum and Polygon commit to transactions
  that nodes do not list is the finding of erpc/erpc (chain_architecture.go); Celo's type 123 has
  receipts of its own; Avalanche's headers have fields of its own; zkSync's hash is not that of a
  header's RLP
"""

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeGuard, get_args

# How much of what a node says is proven: `docs/watcher.md` says what each costs and cannot see.
Verify = Literal["all", "bloom", "found", "off"]
VERIFY_USUAL: Final[Verify] = "bloom"

# Ethereum takes a quarter of an hour, and a rollup's batches half of one.
FINALITY_ALARM_USUAL: Final = 3_600

# Whether blocks recompute: `yes` was tested with blocks of that kind; `untested` is expected, and
# the chain halts, or goes by agreement, where it does not come out; `no` cannot come out.
Recomputes = Literal["yes", "untested", "no"]


# What is believed of a single header: what is proven, also what is `Unprovable` (as more than one
# node must show it), or all that a node says.
Trust = Literal["proof", "agreement", "word"]


@dataclass(frozen=True, slots=True)
class Finalized:
    """A block is confirmed when the node's `finalized` tag has reached it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A block is confirmed when `blocks` blocks stand on top of it."""

    blocks: int


Confirmation = Finalized | Depth


@dataclass(frozen=True, slots=True)
class KnownChain:
    """A chain, and how it is read unless the configuration says otherwise.

    `depth` is the number of blocks on top that is as careful as `rule`, with room to spare; None
    where no number is known to be. `block_ms` is the usual time between two blocks. `headers` and
    `receipts` name the encoding that hash and root are made of. Finality that is more than
    `finality_alarm_seconds` behind is not as usual.
    """

    chain_id: int
    name: str
    rule: Confirmation
    depth: int | None
    block_ms: int
    headers: str
    receipts: str
    recomputes: Recomputes
    verify: Verify
    finality_alarm_seconds: int = FINALITY_ALARM_USUAL

    @property
    def has_finalized_tag(self) -> bool:
        """Return whether its nodes have a block under the tag `finalized`."""
        return isinstance(self.rule, Finalized)


def is_verify(text: str) -> TypeGuard[Verify]:
    """Return whether a text names a way of verifying."""
    return text in get_args(Verify)


def known_chain(chain_id: int) -> KnownChain | None:
    """Return what is known of a chain, None for nothing."""
    return _BY_ID.get(chain_id)


def _final(chain_id: int, name: str, kind: "_Kind", depth: int | None, block_ms: int) -> KnownChain:
    return KnownChain(chain_id, name, Finalized(), depth, block_ms, *kind)


def _slow(chain_id: int, name: str, kind: "_Kind", block_ms: int) -> KnownChain:
    """Return a chain whose batches take hours until Ethereum has executed them."""
    return KnownChain(
        chain_id, name, Finalized(), None, block_ms, *kind, finality_alarm_seconds=86_400
    )


def _deep(chain_id: int, name: str, kind: "_Kind", depth: int, block_ms: int) -> KnownChain:
    return KnownChain(chain_id, name, Depth(depth), depth, block_ms, *kind)


_Kind = tuple[str, str, Recomputes, Verify]

_ETHEREUM: Final[_Kind] = ("ethereum", "ethereum", "yes", "bloom")
_LIKE_ETHEREUM: Final[_Kind] = ("ethereum", "ethereum", "untested", "bloom")
_OP_STACK: Final[_Kind] = ("ethereum", "op-stack", "yes", "bloom")
_CELO: Final[_Kind] = ("ethereum", "celo", "untested", "bloom")
_ARBITRUM: Final[_Kind] = ("arbitrum", "arbitrum", "untested", "bloom")
_POLYGON: Final[_Kind] = ("ethereum", "polygon", "untested", "bloom")
_AVALANCHE: Final[_Kind] = ("avalanche", "ethereum", "no", "off")
_MONAD: Final[_Kind] = ("monad", "monad", "untested", "bloom")
_ZKSYNC: Final[_Kind] = ("zksync", "zksync", "no", "off")

# A rollup is final when Ethereum is, after 15 to 25 minutes: its depth is half an hour of blocks.
KNOWN_CHAINS: Final = (
    # Two epochs of 32 slots, and one more before the second of them ends.
    _final(1, "ethereum", _ETHEREUM, 96, 12_000),
    _final(10, "optimism", _OP_STACK, 900, 2_000),
    # Votes make blocks final within two or three; 64 outlasts a lapse of them.
    _final(56, "bnb", _LIKE_ETHEREUM, 64, 450),
    # Reorganised by more than 3,000 blocks three times in August 2020; exchanges took 10,000.
    _deep(61, "ethereum-classic", _LIKE_ETHEREUM, 10_000, 13_000),
    _final(100, "gnosis", _LIKE_ETHEREUM, 64, 5_000),
    # 157 blocks were reorganised in February 2023, before there were milestones.
    _final(137, "polygon", _POLYGON, 256, 2_000),
    _final(143, "monad", _MONAD, 3, 400),
    _slow(324, "zksync", _ZKSYNC, 1_000),
    _final(8_453, "base", _OP_STACK, 900, 2_000),
    _final(42_161, "arbitrum", _ARBITRUM, 7_200, 250),
    _final(42_220, "celo", _CELO, 1_800, 1_000),
    _final(43_114, "avalanche", _AVALANCHE, 3, 2_000),
    _deep(63, "mordor", _LIKE_ETHEREUM, 10_000, 13_000),
    _final(97, "bnb-testnet", _LIKE_ETHEREUM, 64, 450),
    _slow(300, "zksync-sepolia", _ZKSYNC, 1_000),
    _final(10_200, "chiado", _LIKE_ETHEREUM, 64, 5_000),
    _final(43_113, "fuji", _AVALANCHE, 3, 2_000),
    _final(80_002, "amoy", _POLYGON, 256, 2_000),
    _final(84_532, "base-sepolia", _OP_STACK, 900, 2_000),
    _final(421_614, "arbitrum-sepolia", _ARBITRUM, 7_200, 250),
    _final(560_048, "hoodi", _ETHEREUM, 96, 12_000),
    _final(11_155_111, "sepolia", _ETHEREUM, 96, 12_000),
    _final(11_155_420, "optimism-sepolia", _OP_STACK, 900, 2_000),
)

_BY_ID: Final = {chain.chain_id: chain for chain in KNOWN_CHAINS}


def chains_as_json() -> str:
    """Return the table for scripts: `depth` in blocks, `rule` a depth or "finalized"."""
    return json.dumps([asdict(chain) | {"rule": _rule(chain)} for chain in KNOWN_CHAINS], indent=2)


def chains_as_text() -> str:
    """Return the table for people."""
    lines = [f"{'chain id':>8}  {'name':<17} {'confirmation':<16} {'depth':>6}  verify  recomputes"]
    lines += [
        f"{chain.chain_id:>8}  {chain.name:<17} {_rule(chain):<16}"
        f" {'-' if chain.depth is None else chain.depth:>6}  {chain.verify:<6}  {chain.recomputes}"
        for chain in KNOWN_CHAINS
    ]
    return "\n".join(lines)


def _rule(chain: KnownChain) -> str:
    rule = chain.rule
    return f"{{ depth = {rule.blocks} }}" if isinstance(rule, Depth) else "finalized"
