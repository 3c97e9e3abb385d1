"""Questions to a node that fails as a test says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fakechain import FakeChain
from fakenode import Faults, serve

from daemon.chain.rpc import Node


def ask(faults: Faults, question: Callable[[Node], Awaitable[Any]], *, blocks: int = 0) -> Any:  # noqa: ANN401 - whatever the question gives
    """Put a question to a node with these faults, over a real socket."""

    async def main() -> object:
        chain = FakeChain()
        chain.mine_empty(blocks)
        async with serve(chain, faults) as url, Node(url, timeout_seconds=2) as node:
            return await question(node)

    return asyncio.run(main())


def chain_id(node: Node) -> Awaitable[Any]:
    return node.call("eth_chainId")
