"""Wallets that are contracts, on real chains: their own word on their own chain, and no other."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from eth_account import Account
from signing_person import ALICE_KEY, BOB_KEY, sign

from api.calling.addresses import format_address
from api.identity.signatures import signed_hash
from api.serve import listening
from contracts.artifacts import artifact
from contracts.calls import encode_call, encode_deployment
from contracts.catalogue import EVENTS
from contracts.signature_calls import encode_question, says_yes
from daemon.chain import contract_wallets
from daemon.chain.contract_wallets import ChainNodes, ContractWallets
from daemon.chain.rpc import Node
from daemon.command_line.signing_in import sign_in_terms
from daemon.configuration.config import load_config
from daemon.processes.anvil import Anvil

HOME, ELSEWHERE = 31337, 31338
OWNER = bytes.fromhex(Account.from_key(ALICE_KEY).address[2:])
HASH = signed_hash("a text")
ORIGIN = "https://credits.example"


@dataclass(frozen=True)
class Wallets:
    """A wallet of Alice's on its own chain, and an address without code."""

    contract: bytes
    asks: ContractWallets
    url: str


async def deployed(node: Node, code: str) -> bytes:
    """Deploy a contract and return its address."""
    (sender, *_) = await node.call("eth_accounts")
    tx = await node.call("eth_sendTransaction", {"from": sender, "data": code, "gas": hex(2**21)})
    async with asyncio.timeout(10):
        while (  # noqa: ASYNC110 - the node tells nobody
            receipt := await node.call("eth_getTransactionReceipt", tx)
        ) is None:
            await asyncio.sleep(0.01)  # it is mined at once, and told of a bit later
    return bytes.fromhex(receipt["contractAddress"][2:])


@asynccontextmanager
async def wallets(*, agree: int = 1) -> AsyncIterator[Wallets]:
    async with Anvil.start() as anvil, Node(anvil.url) as node:
        code = encode_deployment(artifact("OwnedWallet"), format_address(OWNER))
        contract = await deployed(node, f"0x{code.hex()}")
        asks = ContractWallets({HOME: ChainNodes([node] * agree, agree)})
        yield Wallets(contract, asks, anvil.url)


# The call ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 65, 8_192])
def test_the_question_is_encoded_as_the_abi_has_it(length: int) -> None:
    signature = bytes(range(256))[:length] if length <= 256 else b"\x07" * length
    wanted = encode_call(artifact("OwnedWallet"), "isValidSignature", HASH, signature)
    assert encode_question(HASH, signature) == wanted


YES = bytes.fromhex("1626ba7e") + bytes(28)


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        (YES, True),
        (YES + bytes(32), True),  # what comes after the value says nothing
        (b"", False),
        (YES[:4], False),
        (YES[:31], False),
        (bytes(28) + YES[:4], False),  # a number, as older contracts answered
        (YES[:4] + b"\x01" + bytes(27), False),
        (bytes(32), False),
        (b"\xff" * 32, False),
        ((1).to_bytes(32), False),  # true
    ],
)
def test_only_the_very_word_is_yes(answer: bytes, yes: bool) -> None:
    assert says_yes(answer) == yes


@pytest.mark.anvil
def test_a_contract_takes_what_its_owner_signed_and_nothing_else() -> None:
    own, others = (bytes.fromhex(sign("a text", key)[2:]) for key in (ALICE_KEY, BOB_KEY))

    async def main() -> None:
        async with wallets() as on:
            takes = on.asks.takes
            assert await takes(HOME, on.contract, HASH, own) is True
            assert await takes(HOME, on.contract, HASH, others) is False
            assert await takes(HOME, on.contract, HASH, b"") is False  # it reverts
            assert await takes(HOME, on.contract, HASH, b"\x01" * 8_192) is False
            assert await takes(HOME, on.contract, signed_hash("b"), own) is False
            assert await takes(HOME, OWNER, HASH, own) is False  # no code there
            assert await takes(ELSEWHERE, on.contract, HASH, own) is None

    asyncio.run(main())


@pytest.mark.anvil
def test_a_contract_that_never_ends_is_cut_off_by_its_gas() -> None:
    forever = "5b600056"  # JUMPDEST PUSH1 0 JUMP

    async def main() -> None:
        async with wallets() as on, Node(on.url) as node:
            # Deployment code that returns the four bytes after its own twelve.
            address = await deployed(node, f"0x6004600c60003960046000f3{forever}")
            assert await on.asks.takes(HOME, address, HASH, b"\x01") is False

    asyncio.run(main())


@pytest.mark.anvil
def test_a_node_of_another_chain_has_no_say() -> None:
    own = bytes.fromhex(sign("a text", ALICE_KEY)[2:])

    async def main() -> None:
        async with wallets() as on, Node(on.url) as node:
            misled = ContractWallets({ELSEWHERE: ChainNodes([node], 1)})
            assert await misled.takes(ELSEWHERE, on.contract, HASH, own) is None

    asyncio.run(main())


@pytest.mark.anvil
def test_as_many_nodes_as_are_to_agree_must_say_yes() -> None:
    own = bytes.fromhex(sign("a text", ALICE_KEY)[2:])

    async def main() -> None:
        async with wallets(agree=2) as on, Node(on.url) as node, Node(NOWHERE) as gone:
            assert await on.asks.takes(HOME, on.contract, HASH, own) is True
            one_of_two = ContractWallets({HOME: ChainNodes([gone, node], 2)})
            assert await one_of_two.takes(HOME, on.contract, HASH, own) is None
            either = ContractWallets({HOME: ChainNodes([gone, node], 1)})
            assert await either.takes(HOME, on.contract, HASH, own) is True

    asyncio.run(main())


NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


def test_a_node_that_does_not_answer_in_time_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_wallets, "ANSWER_SECONDS", 0.2)

    async def main() -> None:
        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        over = asyncio.Event()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Node(f"http://127.0.0.1:{port}") as node:
            asks = ContractWallets({HOME: ChainNodes([node], 1)})
            many = [asks.takes(HOME, OWNER, HASH, b"") for _ in range(40)]
            assert await asyncio.gather(*many) == [None] * 40
            over.set()

    asyncio.run(main())


# The whole way -----------------------------------------------------------------------------------

CONFIG = """
[api]
public_url = "{origin}"
"""
CHAIN = """
[[chains]]
name = "chain-{chain_id}"
chain_id = {chain_id}
rpc_url = "{url}"
confirmation = {{ depth = 2 }}

[[chains.sources]]
name = "mining-{chain_id}"
contract = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"
event = "eip918.Mint"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18 }}
"""


@asynccontextmanager
async def served(
    folder: Path, database_url: str, chains: Sequence[tuple[int, str]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """The API as the command line puts it together, for some chains."""
    path = folder / "creditd.toml"
    text = CONFIG.format(origin=ORIGIN)
    text += "".join(CHAIN.format(chain_id=chain_id, url=url) for chain_id, url in chains)
    path.write_text(text, encoding="utf-8")
    config = load_config(path, {}, events=EVENTS)
    async with (
        sign_in_terms(config) as terms,
        listening(database_url, host="127.0.0.1", port=0, sign_in=terms) as url,
        httpx2.AsyncClient(base_url=url, timeout=20) as client,
    ):
        yield client


async def sign_in(client: httpx2.AsyncClient, chain_id: int, contract: bytes, key: str) -> Any:  # noqa: ANN401
    wallet = {"chain_id": chain_id, "address": format_address(contract)}
    given = (await client.post("/v1/sign-in/challenge", json=wallet)).json()["message"]
    body = {"message": given, "signature": sign(given, key)}
    return await client.post("/v1/sign-in", json=body)


@pytest.mark.anvil
def test_a_contract_signs_in_on_its_own_chain_and_on_no_other(
    tmp_path: Path, database_url: str
) -> None:
    async def main() -> None:
        async with wallets() as on, Anvil.start(chain_id=ELSEWHERE) as elsewhere:
            chains = [(HOME, on.url), (ELSEWHERE, elsewhere.url)]
            async with served(tmp_path, database_url, chains) as client:
                at_home = await sign_in(client, HOME, on.contract, ALICE_KEY)
                assert at_home.status_code == 201
                assert at_home.json()["wallet"]["chain_id"] == HOME
                assert "set-cookie" in at_home.headers
                for chain_id, key in ((ELSEWHERE, ALICE_KEY), (HOME, BOB_KEY)):
                    refused = await sign_in(client, chain_id, on.contract, key)
                    assert refused.status_code == 403
                    assert refused.json()["type"] == "/problems/signature-refused"
                wallet = {"chain_id": 1, "address": format_address(on.contract)}
                unknown = await client.post("/v1/sign-in/challenge", json=wallet)
                assert unknown.json()["type"] == "/problems/chain-not-followed"

    asyncio.run(main())


def test_a_contract_of_a_chain_that_is_down_does_not_sign_in(
    tmp_path: Path, database_url: str
) -> None:
    async def main() -> None:
        async with served(tmp_path, database_url, [(HOME, NOWHERE)]) as client:
            refused = await sign_in(client, HOME, b"\x11" * 20, ALICE_KEY)
            assert refused.status_code == 503
            assert refused.json()["type"] == "/problems/chain-unreachable"
            assert int(refused.headers["retry-after"]) > 0
            own = await sign_in(client, HOME, OWNER, ALICE_KEY)
            assert own.status_code == 201  # a key needs no chain

    asyncio.run(main())


def test_without_a_public_url_nothing_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "creditd.toml"
    path.write_text(CHAIN.format(chain_id=HOME, url=NOWHERE), encoding="utf-8")

    async def main() -> None:
        async with sign_in_terms(load_config(path, {}, events=EVENTS)) as terms:
            assert terms is None

    asyncio.run(main())
