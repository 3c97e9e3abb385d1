"""The demo's chain, seen through its JSON-RPC: contracts, and people who stake and mine there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from contracts.artifacts import Artifact, artifact
from contracts.calls import decode_result, encode_call, encode_deployment
from contracts.catalogue import EVENTS
from contracts.events import Decoded
from contracts.logs import Log
from contracts.proof_of_work import solve
from daemon.chain.rpc import Node
from daemon.demo.checks import Checks, StepFailed
from daemon.demo.printing import short, shown
from daemon.demo.terms import EVENTS_OF, MINING, STAKES, TOKEN

NAMES: Final = ("Ada", "Ben", "Cleo")
STAKE_TOKENS_EACH: Final = 1_000_000  # more than anyone here will ever stake
MINED_TOKENS: Final = 50  # what one solution pays

# About 4,000 hashes a solution: some hundredths of a second of real work in plain Python.
TARGET_AT_FIRST: Final = 2**244
SECONDS_PER_EPOCH: Final = 10  # about how often the demo mines, so that work stays what it is
_UINT256_MAX: Final = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Earner:
    """Somebody with an unlocked account on the chain; `address` is 20 bytes."""

    name: str
    address: bytes


@dataclass(frozen=True, slots=True)
class Earned:
    """What somebody did on the chain, by its receipt.

    `amount` is in base units, `ordinal` the event's place in its transaction's logs, `nonce` what
    was found by whoever mined. Hashes are hex with 0x.
    """

    earner: Earner
    source: str
    amount: int
    tx_hash: str
    ordinal: int
    block_number: int
    block_hash: str
    nonce: int | None = None

    @property
    def tokens(self) -> str:
        """The amount in whole tokens, such as `1.5 STK`."""
        token = "MND" if self.source == MINING else "STK"
        return f"{shown(Decimal(self.amount) / TOKEN)} {token}"

    def __str__(self) -> str:
        did = "mined" if self.source == MINING else "staked"
        return f"{self.tokens} {did} in block {self.block_number}"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract of ours and where it was deployed."""

    artifact: Artifact
    address: bytes
    block_number: int


class Town:
    """The chain with its contracts and earners. Made by `build`."""

    def __init__(
        self,
        node: Node,
        checks: Checks,
        chain_id: int,
        earners: Sequence[Earner],
        contracts: tuple[Contract, Contract, Contract],
    ) -> None:
        self.chain_id = chain_id
        self.earners = tuple(earners)
        self.stake_token, self.staking, self.mineable = contracts
        self._node = node
        self._checks = checks

    @classmethod
    async def build(cls, node: Node, checks: Checks) -> "Town":
        """Deploy the contracts, and give everyone tokens that StakingRewards may take."""
        owner, *others = [_bytes(each) for each in await node.call("eth_accounts")]
        earners = [Earner(*each) for each in zip(NAMES, others, strict=False)]
        deploying = _Deploying(node, checks, owner)
        stake_token = await deploying.deploy("StakeToken", "Stake", "STK")
        staking = await deploying.deploy(
            "StakingRewards", stake_token.address, stake_token.address, 86_400
        )
        mineable = await deploying.deploy(
            "MineableToken",
            "Mined",
            "MND",
            MINED_TOKENS * TOKEN,
            TARGET_AT_FIRST,
            SECONDS_PER_EPOCH,
        )
        chain_id = int(await node.call("eth_chainId"), 16)
        town = cls(node, checks, chain_id, earners, (stake_token, staking, mineable))
        for earner in earners:
            given = STAKE_TOKENS_EACH * TOKEN
            await town._send(owner, stake_token, "mint", earner.address, given)
            await town._send(earner.address, stake_token, "approve", staking.address, _UINT256_MAX)
        return town

    async def stake(self, earner: Earner, amount: int) -> Earned:
        """Stake so many base units."""
        receipt = await self._send(earner.address, self.staking, "stake", amount)
        return self._earned(earner, STAKES, self.staking, receipt)

    async def mine(self, earner: Earner) -> Earned:
        """Search for a nonce that solves the current challenge, and be paid for it."""
        (challenge,) = await self._read(self.mineable, "getChallengeNumber")
        (target,) = await self._read(self.mineable, "getMiningTarget")
        nonce = await asyncio.to_thread(solve, challenge, earner.address, target)
        if nonce is None:
            raise StepFailed(self._checks.step, "the work", expected="a nonce", found="none")
        receipt = await self._send(earner.address, self.mineable, "mint", nonce)
        return self._earned(earner, MINING, self.mineable, receipt, nonce)

    async def add_block(self) -> int:
        """Put an empty block on top and return its number."""
        await self._node.call("evm_mine")
        return await self.head_number()

    async def head_number(self) -> int:
        """Return the number of the newest block."""
        return int(await self._node.call("eth_blockNumber"), 16)

    async def block_hash(self, number: int) -> str:
        """Return the hash of the block at a height."""
        block = await self._node.call("eth_getBlockByNumber", hex(number), False)
        return str(block["hash"])

    async def staked(self, earner: Earner) -> int:
        """Return what StakingRewards holds for somebody, in base units."""
        return int((await self._read(self.staking, "balanceOf", earner.address))[0])

    async def mined(self, earner: Earner) -> int:
        """Return what somebody has of the mined token, in base units."""
        return int((await self._read(self.mineable, "balanceOf", earner.address))[0])

    async def all_earned(self, earner: Earner) -> list[tuple[str, str, int]]:
        """Return source, transaction and amount of all that somebody earned, asked of the node."""
        found = []
        for source, contract in ((STAKES, self.staking), (MINING, self.mineable)):
            event = EVENTS[EVENTS_OF[source]]
            asked = {
                "address": _hex(contract.address),
                "fromBlock": "0x0",
                "toBlock": "latest",
                "topics": [_hex(event.topic0), _hex(earner.address.rjust(32, b"\0"))],
            }
            for log in await self._node.call("eth_getLogs", asked):
                decoded = event.decode(_log(log, 0))
                if isinstance(decoded, Decoded):
                    found.append((source, str(log["transactionHash"]), decoded.amount))
        return found

    def _earned(
        self,
        earner: Earner,
        source: str,
        contract: Contract,
        receipt: dict[str, Any],
        nonce: int | None = None,
    ) -> Earned:
        """Return what the receipt says was earned. Raises StepFailed if it says nothing of it."""
        event = EVENTS[EVENTS_OF[source]]
        for ordinal, raw in enumerate(receipt["logs"]):
            log = _log(raw, ordinal)
            decoded = event.decode(log) if log.address == contract.address else None
            if isinstance(decoded, Decoded) and decoded.wallet == earner.address:
                return Earned(
                    earner=earner,
                    source=source,
                    amount=decoded.amount,
                    tx_hash=receipt["transactionHash"],
                    ordinal=ordinal,
                    block_number=int(receipt["blockNumber"], 16),
                    block_hash=receipt["blockHash"],
                    nonce=nonce,
                )
        raise StepFailed(
            self._checks.step,
            f"the receipt of {short(receipt['transactionHash'])}",
            expected=f"{event.name} of {_hex(earner.address)}",
            found=f"{len(receipt['logs'])} other logs",
        )

    async def _send(
        self, sender: bytes, contract: Contract, function: str, *arguments: object
    ) -> dict[str, Any]:
        data = encode_call(contract.artifact, function, *arguments)
        return await _transact(self._node, self._checks, sender, contract.address, data)

    async def _read(self, contract: Contract, function: str, *arguments: object) -> tuple[Any, ...]:
        data = encode_call(contract.artifact, function, *arguments)
        call = {"to": _hex(contract.address), "data": _hex(data)}
        answer = await self._node.call("eth_call", call, "latest")
        return decode_result(contract.artifact, function, _bytes(answer))


@dataclass(frozen=True, slots=True)
class _Deploying:
    node: Node
    checks: Checks
    owner: bytes

    async def deploy(self, name: str, *arguments: object) -> Contract:
        compiled = artifact(name)
        data = encode_deployment(compiled, *arguments)
        receipt = await _transact(self.node, self.checks, self.owner, None, data)
        address = _bytes(receipt["contractAddress"])
        return Contract(compiled, address, int(receipt["blockNumber"], 16))


async def _transact(
    node: Node, checks: Checks, sender: bytes, to: bytes | None, data: bytes
) -> dict[str, Any]:
    """Send a transaction, which anvil signs and puts in a block of its own; return its receipt."""
    transaction = {"from": _hex(sender), "data": _hex(data)}
    if to is not None:
        transaction["to"] = _hex(to)
    tx_hash = await node.call("eth_sendTransaction", transaction)
    receipt: dict[str, Any] = await checks.until(
        f"the receipt of {short(tx_hash)}",
        lambda: node.call("eth_getTransactionReceipt", tx_hash),
        lambda found: found is not None,
    )
    checks.equal(f"status of transaction {short(tx_hash)}", found=receipt["status"], expected="0x1")
    return receipt


def _log(raw: dict[str, Any], ordinal: int) -> Log:
    return Log(
        address=_bytes(raw["address"]),
        topics=tuple(_bytes(topic) for topic in raw["topics"]),
        data=_bytes(raw["data"]),
        tx_hash=_bytes(raw["transactionHash"]),
        ordinal=ordinal,
        log_index=int(raw["logIndex"], 16),
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"
