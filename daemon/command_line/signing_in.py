"""What signing in by a wallet goes by, as the configuration has it: handed to the API."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from api.calling.sign_in_terms import SignInTerms
from daemon.configuration.config import Chain, Config

if TYPE_CHECKING:
    from daemon.chain.contract_wallets import ContractWallets


@asynccontextmanager
async def sign_in_terms(config: Config) -> AsyncIterator[SignInTerms | None]:
    """Hand in what the chains say of contracts' signatures; None where no `public_url` is set."""
    if config.api.public_url is None:
        yield None
        return
    # Before anybody signs in: the first would hold up everybody's charges for it.
    import_module("api.identity.recovery")
    async with AsyncExitStack() as stack:
        opening = asyncio.Lock()
        opened: list[ContractWallets] = []

        async def ask_contract(
            chain_id: int, address: bytes, hashed: bytes, signature: bytes
        ) -> bool | None:
            async with opening:
                if not opened:
                    opened.append(await _open(config.chains, stack))
            return await opened[0].takes(chain_id, address, hashed, signature)

        chain_ids = frozenset(chain.chain_id for chain in config.chains)
        yield SignInTerms(config.api.public_url, chain_ids, ask_contract)


async def _open(chains: Sequence[Chain], stack: AsyncExitStack) -> "ContractWallets":
    """Open the chains' nodes, for the first signature that may be a contract's."""
    # A second and 60 MB that an API without such wallets saves: web3 comes with them. Charges go on
    # meanwhile.
    await asyncio.to_thread(import_module, "daemon.chain.contract_wallets")
    from daemon.chain.contract_wallets import ChainNodes, ContractWallets  # noqa: PLC0415
    from daemon.watching.chain_nodes import nodes_of  # noqa: PLC0415

    opened = {}
    for chain in chains:
        nodes = [await stack.enter_async_context(node) for node in nodes_of(chain)]
        opened[chain.chain_id] = ChainNodes(nodes, chain.agree)
    return ContractWallets(opened)
