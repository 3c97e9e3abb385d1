"""A chain of the benchmark's own: a contract on anvil that says as many stakes as it is told to."""

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from asking import Node
from measuring import say

from contracts.artifacts import artifact
from contracts.calls import encode_call, encode_deployment
from contracts.catalogue import EVENTS
from daemon.processes.anvil import find_anvil

EVENT: Final = "staking-rewards.Staked"
USERS: Final = 2_000
EVENTS_PER_TRANSACTION: Final = 5
BLOCK_SECONDS: Final = 12  # between the blocks' times; they are mined as fast as anvil can
READY_SECONDS_MAX: Final = 30.0  # it takes 0.1 s on an idle machine
STOP_SECONDS_MAX: Final = 5.0  # it keeps nothing worth waiting for
LOGS_BLOCKS: Final = 500  # in one eth_getLogs
BLOCKS_AT_ONCE_MAX: Final = 1_000  # empty ones, mined by one call
PROGRESS_BLOCKS: Final = 1_000

_GAS: Final = hex(500_000)  # said, so that anvil need not run each transaction twice
_SENDERS: Final = 4  # of anvil's ten unlocked accounts: one for each transaction of a block


@dataclass(frozen=True, slots=True, order=True)
class Stake:
    """An event as the node tells it."""

    block_number: int
    log_index: int
    block_hash: bytes
    tx_hash: bytes
    wallet: bytes
    amount: int


def _stake(log: dict[str, Any]) -> Stake:
    return Stake(
        block_number=int(log["blockNumber"], 16),
        log_index=int(log["logIndex"], 16),
        block_hash=bytes.fromhex(log["blockHash"][2:]),
        tx_hash=bytes.fromhex(log["transactionHash"][2:]),
        wallet=bytes.fromhex(log["topics"][1][26:]),
        amount=int(log["data"], 16),
    )


@dataclass(slots=True)
class ChainOfStakes:
    """A running anvil with its contract, deployed in block 1. Made by `running`."""

    url: str
    pid: int
    node: Node
    chain_id: int
    contract: bytes
    senders: Sequence[str]
    _said: int = field(default=0)

    def send(self, transactions: int = 1) -> int:
        """Send transactions, for the next block. Returns how many events they will say."""
        staking = artifact("ManyStakes")
        calls = []
        for sender in self.senders[:transactions]:
            data = encode_call(staking, "stake", self._said, EVENTS_PER_TRANSACTION, USERS)
            calls.append(self._sending(sender, data))
            self._said += EVENTS_PER_TRANSACTION
        self.node.batch(calls)
        return len(calls) * EVENTS_PER_TRANSACTION

    def mine(self) -> None:
        """Mine what was sent."""
        self.node.call("evm_mine")

    def add(self, blocks: int, transactions: int = 1) -> None:
        """Mine blocks of that many transactions each."""
        for number in range(1, blocks + 1):
            self.send(transactions)
            self.mine()
            if number % PROGRESS_BLOCKS == 0 and number < blocks:
                say(f"mined {number:,} of {blocks:,} blocks")

    def add_empty(self, blocks: int) -> None:
        """Mine blocks with nothing in them."""
        for first in range(0, blocks, BLOCKS_AT_ONCE_MAX):
            self.node.call("anvil_mine", hex(min(BLOCKS_AT_ONCE_MAX, blocks - first)))

    def add_lone(self, user: int) -> None:
        """Mine a block with one event, of one user."""
        data = encode_call(artifact("ManyStakes"), "stake", user, 1, USERS)
        self.node.batch([self._sending(self.senders[0], data)])
        self.mine()

    def head(self) -> int:
        """Return the number of the newest block."""
        return int(self.node.call("eth_blockNumber"), 16)

    def hash_of(self, number: int) -> bytes:
        """Return the hash of the block at a height."""
        block = self.node.call("eth_getBlockByNumber", hex(number), False)
        return bytes.fromhex(block["hash"][2:])

    def stakes(self, last: int | None = None) -> list[Stake]:
        """Return all events up to a block, or to the head, as the node tells them, in order."""
        found: list[Stake] = []
        until = self.head() if last is None else last
        for first in range(0, until + 1, LOGS_BLOCKS):
            asked = {
                "address": "0x" + self.contract.hex(),
                "fromBlock": hex(first),
                "toBlock": hex(min(first + LOGS_BLOCKS - 1, until)),
                "topics": ["0x" + EVENTS[EVENT].topic0.hex()],
            }
            found += [_stake(log) for log in self.node.call("eth_getLogs", asked)]
        return found

    def _sending(self, sender: str, data: bytes) -> tuple[str, tuple[object, ...]]:
        contract = "0x" + self.contract.hex()
        transaction = {"from": sender, "to": contract, "gas": _GAS, "data": "0x" + data.hex()}
        return "eth_sendTransaction", (transaction,)


@contextmanager
def running(
    *arguments: str, blocks: int = 0, block_time: int | None = None
) -> Iterator[ChainOfStakes]:
    """Run anvil with the contract while the context lasts; it mines when told to.

    With `block_time` it mines a block every so many seconds, too. With `blocks` its first block is
    as old as so many blocks take, so that their times are past.
    """
    began = int(time.time()) - BLOCK_SECONDS * (blocks + 2)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [
            find_anvil(),
            *("--port", str(port), "--silent", "--order", "fifo"),
            *(("--no-mining",) if block_time is None else ("--block-time", str(block_time))),
            *(("--timestamp", str(began)) if blocks else ()),
            *arguments,
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        with Node(f"http://127.0.0.1:{port}") as node:
            if blocks:
                node.call("anvil_setBlockTimestampInterval", BLOCK_SECONDS)
            yield _deployed(f"http://127.0.0.1:{port}", process.pid, node)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)  # a port says nothing when it opens
        else:
            return
    raise SystemExit("anvil did not start listening")


def _deployed(url: str, pid: int, node: Node) -> ChainOfStakes:
    accounts = node.call("eth_accounts")
    data = encode_deployment(artifact("ManyStakes"))
    sent = {"from": accounts[0], "gas": hex(3_000_000), "data": "0x" + data.hex()}
    tx_hash = node.call("eth_sendTransaction", sent)
    node.call("evm_mine")
    receipt = node.call("eth_getTransactionReceipt", tx_hash)
    return ChainOfStakes(
        url=url,
        pid=pid,
        node=node,
        chain_id=int(node.call("eth_chainId"), 16),
        contract=bytes.fromhex(receipt["contractAddress"][2:]),
        senders=accounts[:_SENDERS],
    )
