"""What signing in by a wallet goes by, as the configuration has it: handed to the API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from api.calling.sign_in_terms import SignInTerms
from daemon.configuration.config import Config


@asynccontextmanager
async def sign_in_terms(config: Config) -> AsyncIterator[SignInTerms | None]:
    """Open the chains' nodes, for contracts to be asked; None where no `public_url` is set."""
    if config.api.public_url is None:
        yield None
        return
    # A second and 60 MB that an API without sign-in saves: web3 comes with them.
    from daemon.chain.contract_wallets import ChainNodes, ContractWallets  # noqa: PLC0415
    from daemon.watching.chain_nodes import nodes_of  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        chains = {}
        for chain in config.chains:
            nodes = [await stack.enter_async_context(node) for node in nodes_of(chain)]
            chains[chain.chain_id] = ChainNodes(nodes, chain.agree)
        contracts = ContractWallets(chains)
        yield SignInTerms(config.api.public_url, frozenset(chains), contracts.takes)
