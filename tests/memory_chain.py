"""A chain in memory for contract tests: eth-tester, driven by the calls and decoders under test."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from eth_tester import EthereumTester  # type: ignore[import-untyped] # it ships no types
from eth_tester.exceptions import TransactionFailed  # type: ignore[import-untyped] # as above
from web3 import EthereumTesterProvider, Web3
from web3.types import TxReceipt

from contracts.artifacts import Artifact, artifact
from contracts.calls import decode_result, encode_call, encode_deployment
from contracts.catalogue import EVENTS
from contracts.events import Decoded
from contracts.hashing import keccak
from contracts.logs import Log

ONE = 10**18


@dataclass(frozen=True)
class Deployed:
    contract: Artifact
    address: bytes


class Chain:
    """A chain in memory; every transaction is a block of its own."""

    def __init__(self) -> None:
        self.tester = EthereumTester()
        self.w3 = Web3(EthereumTesterProvider(self.tester))
        self.owner, self.alice, self.bob = (
            bytes.fromhex(account[2:]) for account in self.w3.eth.accounts[:3]
        )

    def deploy(self, name: str, *arguments: object) -> Deployed:
        contract = artifact(name)
        data = encode_deployment(contract, *arguments)
        receipt = self._receipt({"from": Web3.to_checksum_address(self.owner), "data": data})
        address = receipt["contractAddress"]
        assert address is not None
        return Deployed(contract, bytes.fromhex(address[2:]))

    def send(self, sender: bytes, to: Deployed, function: str, *arguments: object) -> TxReceipt:
        return self._receipt(
            {
                "from": Web3.to_checksum_address(sender),
                "to": Web3.to_checksum_address(to.address),
                "data": encode_call(to.contract, function, *arguments),
            }
        )

    def read(self, of: Deployed, function: str, *arguments: object) -> Any:  # noqa: ANN401 - by ABI
        answer = self.w3.eth.call(
            {
                "to": Web3.to_checksum_address(of.address),
                "data": encode_call(of.contract, function, *arguments),
            }
        )
        (value,) = decode_result(of.contract, function, bytes(answer))
        return value

    def time(self) -> int:
        return self.w3.eth.get_block("latest")["timestamp"]

    def wait(self, seconds: int) -> None:
        self.tester.time_travel(self.time() + seconds)
        self.tester.mine_block()

    def _receipt(self, transaction: Any) -> TxReceipt:  # noqa: ANN401 - web3's own type is wider
        return self.w3.eth.wait_for_transaction_receipt(self.w3.eth.send_transaction(transaction))


def logs_of(receipt: TxReceipt, emitter: Deployed) -> list[Log]:
    return [
        Log(
            bytes.fromhex(log["address"][2:]),
            tuple(bytes(topic) for topic in log["topics"]),
            bytes(log["data"]),
            bytes(log["transactionHash"]),
            ordinal,
            log["logIndex"],
        )
        for ordinal, log in enumerate(receipt["logs"])
        if bytes.fromhex(log["address"][2:]) == emitter.address
    ]


def decoded(receipt: TxReceipt, emitter: Deployed) -> list[tuple[str, bytes, int]]:
    """Say of every log of the emitter which event of the catalogue it is, whose and how much."""
    found = []
    for log in logs_of(receipt, emitter):
        for event in EVENTS.values():
            match event.decode(log):
                case Decoded(wallet=wallet, amount=amount):
                    found.append((event.name, wallet, amount))
    return found


def revert_of(contract: Artifact, attempt: Callable[[], object]) -> tuple[str, bytes]:
    """Return the name of the error the attempt was refused with, and the error's arguments."""
    with pytest.raises(TransactionFailed) as refused:
        attempt()
    data = ast.literal_eval(str(refused.value.args[0]).removeprefix("execution reverted: "))
    for entry in contract.abi:
        if entry["type"] == "error":
            types = ",".join(parameter["type"] for parameter in entry["inputs"])
            if keccak(f"{entry['name']}({types})".encode())[:4] == data[:4]:
                return entry["name"], data[4:]
    return f"unknown 0x{data.hex()}", b""


def word(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in numbers)
