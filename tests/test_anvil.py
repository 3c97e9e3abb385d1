"""A real local chain: it starts and ends as promised, and what it mines is proven and read."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from daemon.chain.evidence import Kind
from daemon.chain.reading import (
    Moved,
    read_blocks,
    read_chain_id,
    read_finalized,
    read_hash,
    read_head,
)
from daemon.chain.rpc import Node
from daemon.processes import anvil
from daemon.processes.anvil import Anvil, AnvilFailed, AnvilMissing, find_anvil

pytestmark = pytest.mark.anvil

GWEI = 10**9
FORKS = ("berlin", "london", "paris", "shanghai", "cancun", "prague", "osaka")
BLOB_FORKS = ("prague",)  # one fork is enough: its commitments take seconds to make
SET_CODE_FORKS = ("prague", "osaka")
# The second of anvil's dev accounts, whose keys are public.
SENDER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    if "monkeypatch" in request.fixturenames:
        return
    try:
        find_anvil()
    except AnvilMissing as missing:
        pytest.skip(str(missing))


@asynccontextmanager
async def chain(**options: Any) -> AsyncIterator[Node]:  # noqa: ANN401 - those of Anvil.start
    async with Anvil.start(**options) as running, Node(running.url) as node:
        yield node


def on_anvil(question: Callable[[Node], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    async def main() -> None:
        async with chain(**options) as node:
            await question(node)

    asyncio.run(main())


def emitting(*topic_counts: int) -> str:
    """Return init code that emits a log of 32 bytes for each count of topics."""
    code = bytes.fromhex("7f" + "ab" * 32 + "600052")  # PUSH32, PUSH1 0, MSTORE
    for count in topic_counts:
        topics = b"".join(bytes((0x60, topic + 1)) for topic in range(count))  # PUSH1
        code += topics + bytes((0x60, 0x20, 0x60, 0x00, 0xA0 + count))  # LOG0 to LOG4
    return "0x" + code.hex()


async def send_of_every_type(node: Node, fork: str) -> list[int]:
    """Send a transaction of every type the fork knows, to be mined; return the types."""
    sender, receiver, third = (await node.call("eth_accounts"))[:3]
    first = {"from": sender, "gas": hex(300_000)}
    old, new = {"gasPrice": hex(2 * GWEI)}, {"maxFeePerGas": hex(2 * GWEI)}
    txs: list[dict[str, Any]] = [
        {**old, "data": emitting(0, 1, 2, 3, 4)},
        {**old, "data": emitting(2), "accessList": []},
    ]
    if fork != "berlin":
        txs += [{**new, "data": emitting(3, 3)}, {**new, "data": "0x60006000fd"}]  # reverts
    if fork in SET_CODE_FORKS:
        account = Account.create()
        signed = account.sign_authorization(
            {"chainId": 31337, "address": "0x" + "11" * 20, "nonce": 0}
        )
        authorization = {
            "chainId": hex(31337),
            "address": "0x" + "11" * 20,
            "nonce": "0x0",
            "yParity": hex(signed.y_parity),
            "r": hex(signed.r),
            "s": hex(signed.s),
        }
        txs.append({**new, "to": receiver, "authorizationList": [authorization]})
    for tx in txs:
        await node.call("eth_sendTransaction", {**first, **tx})
    types = [0, 1] if fork == "berlin" else [0, 1, 2, 2]
    if fork in SET_CODE_FORKS:
        types.append(4)
    if fork in BLOB_FORKS:
        await node.call("eth_sendRawTransaction", blob_transaction(bytes.fromhex(third[2:])))
        types.append(3)
    return types


def blob_transaction(receiver: bytes) -> str:
    tx = {
        "type": 3,
        "chainId": 31337,
        "nonce": 0,
        "to": receiver,
        "value": 0,
        "gas": 100_000,
        "maxFeePerGas": 2 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        "maxFeePerBlobGas": GWEI,
    }
    signed = Account.from_key(SENDER_KEY).sign_transaction(tx, blobs=[bytes(131_072)])
    return "0x" + bytes(signed.raw_transaction).hex()


def kind_of(log: dict[str, Any]) -> Kind:
    return bytes.fromhex(log["address"][2:]), bytes.fromhex(log["topics"][0][2:])


@pytest.mark.parametrize("fork", FORKS)
def test_blocks_of_every_fork_and_transaction_type_are_proven(fork: str) -> None:
    async def main(node: Node) -> None:
        await node.call("evm_setAutomine", False)
        types = await send_of_every_type(node, fork)
        await node.call("evm_mine")
        await node.call("evm_mine")
        block = await node.call("eth_getBlockByNumber", "0x1", False)
        receipts = await node.call("eth_getBlockReceipts", block["hash"])
        assert sorted(int(receipt["type"], 16) for receipt in receipts) == sorted(types)
        shown = await node.call("eth_getLogs", {"blockHash": block["hash"]})
        assert len(shown) == (6 if fork == "berlin" else 8)
        shown = [log for log in shown if log["topics"]]  # no event is without
        emitted = frozenset(kind_of(log) for log in shown)
        read = await read_blocks(node, 0, 2, emitted)
        assert [len(found.logs) for found in read] == [0, len(shown), 0]
        assert [
            ("0x" + log.address.hex(), ["0x" + topic.hex() for topic in log.topics], log.log_index)
            for log in read[1].logs
        ] == [(log["address"], log["topics"], int(log["logIndex"], 16)) for log in shown]
        assert {log.data for log in read[1].logs} == {b"\xab" * 32}
        assert [log.tx_hash.hex() for log in read[1].logs] == [
            log["transactionHash"][2:] for log in shown
        ]
        assert (await read_blocks(node, 1, 1, frozenset()))[0].logs == ()

    on_anvil(main, hardfork=fork)


def test_many_transactions_in_one_block_are_proven() -> None:
    async def main(node: Node) -> None:
        await node.call("evm_setAutomine", False)
        sender = (await node.call("eth_accounts"))[0]
        for _ in range(130):
            tx = {
                "from": sender,
                "data": emitting(1),
                "gas": hex(100_000),
                "gasPrice": hex(GWEI * 2),
            }
            await node.call("eth_sendTransaction", tx)
        await node.call("evm_mine")
        block = await node.call("eth_getBlockByNumber", "0x1", False)
        shown = await node.call("eth_getLogs", {"blockHash": block["hash"]})
        emitted = frozenset(kind_of(log) for log in shown)
        assert len(shown) > 100
        assert len((await read_blocks(node, 1, 1, emitted))[0].logs) == len(shown)

    on_anvil(main)


def test_a_reorg_shows_as_another_hash_at_the_same_height() -> None:
    async def main(node: Node) -> None:
        await node.call("anvil_mine", hex(3))
        snapshot = await node.call("evm_snapshot")
        await node.call("anvil_mine", hex(3))
        before = await read_hash(node, 5)
        await node.call("evm_revert", snapshot)
        assert await read_hash(node, 5) is None
        assert (await read_head(node)).number == 3
        with pytest.raises(Moved):
            await read_blocks(node, 2, 5, frozenset())
        await node.call("evm_increaseTime", 7)
        await node.call("anvil_mine", hex(3))
        assert await read_hash(node, 5) not in {None, before}

    on_anvil(main)


def test_the_finalized_block_is_two_epochs_behind() -> None:
    async def main(node: Node) -> None:
        assert await read_chain_id(node) == 777
        await node.call("anvil_mine", hex(20))
        assert (await read_finalized(node)).number == 12

    on_anvil(main, chain_id=777, slots_in_epoch=4, accounts=1)


def test_blocks_come_by_themselves_where_a_block_time_is_set() -> None:
    async def main(node: Node) -> None:
        async with asyncio.timeout(20):
            while (await read_head(node)).number < 1:  # noqa: ASYNC110 - a node can only be polled
                await asyncio.sleep(0.1)

    on_anvil(main, block_time=1)


def test_it_ends_with_its_block_and_leads_a_process_group_of_its_own() -> None:
    async def main() -> int:
        async with Anvil.start() as running:
            assert os.getpgid(running.process_id) == running.process_id != os.getpgrp()
        return running.process_id

    process_id = asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_it_ends_when_what_uses_it_fails() -> None:
    seen: list[int] = []

    async def main() -> None:
        async with Anvil.start() as running:
            seen.append(running.process_id)
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def test_a_program_that_is_missing_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANVIL_BIN", str(tmp_path / "anvil"))
    with pytest.raises(AnvilMissing, match="make setup"):
        find_anvil()


def test_the_program_is_looked_for_in_the_environment_then_the_path_then_npm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named, on_path = tmp_path / "named", tmp_path / "bin" / "anvil"
    on_path.parent.mkdir()
    for program in (named, on_path):
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setenv("ANVIL_BIN", str(named))
    assert find_anvil() == named
    monkeypatch.delenv("ANVIL_BIN")
    assert find_anvil() == on_path
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(anvil, "__file__", str(tmp_path / "daemon" / "processes" / "anvil.py"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    by_npm = tmp_path / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    with pytest.raises(AnvilMissing):
        find_anvil()
    by_npm.parent.mkdir(parents=True)
    by_npm.touch()
    assert find_anvil() == by_npm


@pytest.mark.parametrize("script", ["echo no such option; exit 2", "exec sleep 60"])
def test_a_program_that_does_not_listen_is_ended_and_its_words_are_told(
    script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "anvil"
    program.write_text(f"#!/bin/sh\necho starting\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("ANVIL_BIN", str(program))
    monkeypatch.setattr(anvil, "READY_SECONDS_MAX", 1)

    async def main() -> None:
        async with Anvil.start():
            pass

    with pytest.raises(AnvilFailed, match="starting"):
        asyncio.run(main())


def test_a_program_that_ignores_its_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "anvil"
    program.write_text(
        "#!/bin/sh\ntrap '' TERM\necho Listening on 127.0.0.1:1\nwhile :; do sleep 0.1; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("ANVIL_BIN", str(program))
    monkeypatch.setattr(anvil, "STOP_SECONDS_MAX", 0.2)

    async def main() -> int:
        async with Anvil.start() as running:
            return running.process_id

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(main()), 0)
