"""A chain in memory with true header hashes, receipts roots and blooms.

Blocks of the Osaka kind, branches to switch between and back, a finalized block that can be moved,
and the JSON that a node shows of it all. `fakenode.serve` shows it over HTTP.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from contracts.hashing import keccak
from contracts.logs import Log
from daemon.chain.evidence import bloom_mask
from daemon.chain.reading import Block
from daemon.chain.trie import EMPTY_ROOT, ordered_root, rlp_bytes, rlp_integer, rlp_list

STAKED = keccak(b"Staked(address,uint256)")
WITHDRAWN = keccak(b"Withdrawn(address,uint256)")
REWARD_PAID = keccak(b"RewardPaid(address,uint256)")
MINT = keccak(b"Mint(address,uint256,uint256,bytes32)")

GENESIS_TIME = 1_700_000_000
BLOCK_SECONDS = 12
TX_GAS = 21_000
NO_UNCLES = keccak(b"\xc0")
NO_REQUESTS = sha256(b"").digest()  # EIP-7685


@dataclass(frozen=True, slots=True)
class Event:
    """What a transaction emits: a log that has no place yet."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


def staked(contract: bytes, wallet: bytes, amount: int) -> Event:
    return Event(contract, (STAKED, wallet.rjust(32, b"\0")), amount.to_bytes(32))


def withdrawn(contract: bytes, wallet: bytes, amount: int) -> Event:
    return Event(contract, (WITHDRAWN, wallet.rjust(32, b"\0")), amount.to_bytes(32))


def reward_paid(contract: bytes, wallet: bytes, amount: int) -> Event:
    return Event(contract, (REWARD_PAID, wallet.rjust(32, b"\0")), amount.to_bytes(32))


def minted(contract: bytes, wallet: bytes, amount: int, epoch: int = 1) -> Event:
    data = amount.to_bytes(32) + epoch.to_bytes(32) + keccak(epoch.to_bytes(32))
    return Event(contract, (MINT, wallet.rjust(32, b"\0")), data)


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction by its hash: mined again in another block, it is the same one."""

    hash: bytes
    events: tuple[Event, ...]
    kind: int = 2
    reverted: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What the protocol gives in a block: to its maker, for uncles, and by withdrawals.

    Of a withdrawal: index, validator, address and gwei.
    """

    miner: bytes = b"\xfe" * 20
    uncles: "tuple[MinedBlock, ...]" = ()
    withdrawals: tuple[tuple[int, int, bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """A block, its logs as a watcher must see them, and the JSON a node shows of it."""

    number: int
    hash: bytes
    parent: bytes
    time: int
    txs: tuple[Tx, ...]
    logs: tuple[Log, ...]
    header_json: dict[str, Any]
    receipts_json: list[dict[str, Any]]
    header_rlp: bytes
    uncles: "tuple[MinedBlock, ...]" = ()

    def seen_by(self, watched: Iterable[bytes]) -> Block:
        """Return what `read_blocks` must make of it."""
        kept = frozenset(watched)
        logs = tuple(log for log in self.logs if log.address in kept)
        return Block(self.number, self.hash, self.parent, self.time, logs)


@dataclass(frozen=True, slots=True)
class Branch:
    name: int
    blocks: list[MinedBlock]


class FakeChain:
    """A chain whose canonical branch can be changed and changed back.

    The finalized block stays where `finalize` puts it, block 0 at first, or follows the head at
    `finality_depth`.
    """

    def __init__(self, chain_id: int = 31337, *, finality_depth: int | None = None) -> None:
        self.chain_id = chain_id
        self.finality_depth = finality_depth
        self.by_hash: dict[bytes, MinedBlock] = {}
        self.branch = Branch(0, [])
        self._branches = 1
        self._txs = 0
        self._finalized_number = 0
        self._masks: dict[bytes, int] = {}
        self.mine()

    @property
    def head(self) -> MinedBlock:
        return self.branch.blocks[-1]

    @property
    def finalized_number(self) -> int:
        if self.finality_depth is None:
            return self._finalized_number
        return max(0, self.head.number - self.finality_depth)

    def finalize(self, number: int) -> None:
        self.finality_depth = None
        self._finalized_number = number

    def block(self, number: int) -> MinedBlock:
        return self.branch.blocks[number]

    def tx(self, *events: Event, kind: int = 2, reverted: bool = False) -> Tx:
        """Make a transaction, to be mined in any block of any branch."""
        self._txs += 1
        seed = self.chain_id.to_bytes(32) + self._txs.to_bytes(32)
        return Tx(keccak(seed), events, kind, reverted)

    def mine(
        self, *what: Event | Tx, seconds: int = BLOCK_SECONDS, given: Given | None = None
    ) -> MinedBlock:
        """Add a block to the canonical branch; a bare event is a transaction of its own."""
        txs = tuple(item if isinstance(item, Tx) else self.tx(item) for item in what)
        block = self._block(txs, seconds, given or Given())
        self.branch.blocks.append(block)
        self.by_hash[block.hash] = block
        return block

    def mine_empty(self, count: int) -> None:
        for _ in range(count):
            self.mine()

    def fork_from(self, number: int) -> Branch:
        """Make a new branch after block `number` the canonical one; its head is that block."""
        self.branch = Branch(self._branches, self.branch.blocks[: number + 1])
        self._branches += 1
        return self.branch

    def switch_to(self, branch: Branch) -> None:
        self.branch = branch

    def _block(self, txs: tuple[Tx, ...], seconds: int, given: Given) -> MinedBlock:
        parent = self.branch.blocks[-1] if self.branch.blocks else None
        logs: list[Log] = []
        receipts: list[dict[str, Any]] = []
        encoded: list[bytes] = []
        bloom = 0
        for position, tx in enumerate(txs):
            events = () if tx.reverted else tx.events
            placed = [
                Log(event.address, event.topics, event.data, tx.hash, ordinal, len(logs) + ordinal)
                for ordinal, event in enumerate(events)
            ]
            receipt = _receipt(tx, position, self._bloom(events))
            encoded.append(_receipt_rlp(tx.kind, receipt, events))
            receipts.append(_receipt_json(tx, position, receipt, placed))
            logs.extend(placed)
            bloom |= self._bloom(events)
        header = _header(parent, seconds, bloom, ordered_root(encoded), len(txs))
        header["extraData"] = f"{self.chain_id}/{self.branch.name}".encode()
        header |= _given(given)
        encoded_header = rlp_list(map(_rlp, header.values()))
        block_hash = keccak(encoded_header)
        number = int(header["number"])
        _place(receipts, block_hash, number)
        return MinedBlock(
            number=number,
            hash=block_hash,
            parent=bytes(header["parentHash"]),
            time=int(header["timestamp"]),
            txs=txs,
            logs=tuple(logs),
            header_json=_header_json(header, block_hash, txs) | _given_json(given),
            receipts_json=receipts,
            header_rlp=encoded_header,
            uncles=given.uncles,
        )

    def _bloom(self, events: Sequence[Event]) -> int:
        bloom = 0
        for event in events:
            for item in (event.address, *event.topics):
                mask = self._masks.get(item)
                if mask is None:
                    mask = self._masks[item] = bloom_mask(item)
                bloom |= mask
        return bloom


def _receipt(tx: Tx, position: int, bloom: int) -> dict[str, int | bytes]:
    return {
        "status": int(not tx.reverted),
        "cumulativeGasUsed": TX_GAS * (position + 1),
        "logsBloom": bloom.to_bytes(256),
    }


def _receipt_rlp(kind: int, receipt: Mapping[str, int | bytes], events: Iterable[Event]) -> bytes:
    logs = (
        rlp_list(
            (
                rlp_bytes(event.address),
                rlp_list(map(rlp_bytes, event.topics)),
                rlp_bytes(event.data),
            )
        )
        for event in events
    )
    payload = rlp_list((*map(_rlp, receipt.values()), rlp_list(logs)))
    return bytes((kind,)) + payload if kind else payload


def _receipt_json(
    tx: Tx, position: int, receipt: Mapping[str, int | bytes], logs: Iterable[Log]
) -> dict[str, Any]:
    place = {"transactionHash": _json(tx.hash), "transactionIndex": hex(position)}
    return {
        **{name: _json(value) for name, value in receipt.items()},
        **place,
        "type": hex(tx.kind),
        "gasUsed": hex(TX_GAS),
        "effectiveGasPrice": "0x7",
        "from": _json(b"\xaa" * 20),
        "to": _json(b"\xbb" * 20),
        "contractAddress": None,
        "logs": [
            {
                **place,
                "address": _json(log.address),
                "topics": [_json(topic) for topic in log.topics],
                "data": _json(log.data),
                "logIndex": hex(log.log_index),
                "removed": False,
            }
            for log in logs
        ],
    }


def _place(receipts: Iterable[dict[str, Any]], block_hash: bytes, number: int) -> None:
    place = {"blockHash": _json(block_hash), "blockNumber": hex(number)}
    for receipt in receipts:
        receipt.update(place)
        for log in receipt["logs"]:
            log.update(place)


def _header(
    parent: MinedBlock | None, seconds: int, bloom: int, receipts_root: bytes, tx_count: int
) -> dict[str, int | bytes]:
    """Return the header's fields in their order."""
    number = 0 if parent is None else parent.number + 1
    return {
        "parentHash": bytes(32) if parent is None else parent.hash,
        "sha3Uncles": NO_UNCLES,
        "miner": b"\xfe" * 20,
        "stateRoot": keccak(number.to_bytes(8)),
        "transactionsRoot": keccak(receipts_root),
        "receiptsRoot": receipts_root,
        "logsBloom": bloom.to_bytes(256),
        "difficulty": 0,
        "number": number,
        "gasLimit": 30_000_000,
        "gasUsed": TX_GAS * tx_count,
        "timestamp": GENESIS_TIME if parent is None else parent.time + seconds,
        "extraData": b"",
        "mixHash": bytes(32),
        "nonce": bytes(8),
        "baseFeePerGas": 7,
        "withdrawalsRoot": EMPTY_ROOT,
        "blobGasUsed": 0,
        "excessBlobGas": 0,
        "parentBeaconBlockRoot": bytes(32),
        "requestsHash": NO_REQUESTS,
    }


def _given(given: Given) -> dict[str, int | bytes]:
    """Return the fields by which a header commits to what the protocol gives."""
    if given == Given():
        return {}
    withdrawals = [rlp_list([_rlp(part) for part in each]) for each in given.withdrawals]
    return {
        "sha3Uncles": keccak(rlp_list(uncle.header_rlp for uncle in given.uncles)),
        "miner": given.miner,
        "withdrawalsRoot": ordered_root(withdrawals),
    }


def _given_json(given: Given) -> dict[str, Any]:
    names = ("index", "validatorIndex", "address", "amount")
    return {
        "uncles": [_json(uncle.hash) for uncle in given.uncles],
        "withdrawals": [
            dict(zip(names, [_json(part) for part in each], strict=True))
            for each in given.withdrawals
        ],
    }


def _header_json(
    header: Mapping[str, int | bytes], block_hash: bytes, txs: Iterable[Tx]
) -> dict[str, Any]:
    return {
        **{name: _json(value) for name, value in header.items()},
        "hash": _json(block_hash),
        "size": "0x400",
        "totalDifficulty": "0x0",
        "transactions": [_json(tx.hash) for tx in txs],
    }


def _rlp(value: int | bytes) -> bytes:
    return rlp_integer(value) if isinstance(value, int) else rlp_bytes(value)


def _json(value: int | bytes) -> str:
    return hex(value) if isinstance(value, int) else "0x" + value.hex()
