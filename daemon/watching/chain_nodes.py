"""The nodes of a chain, as the configuration has them."""

from itertools import zip_longest

from daemon.chain.rpc import Node
from daemon.configuration.config import Chain


def nodes_of(chain: Chain) -> list[Node]:
    """Return a chain's nodes, the preferred first, each at the pace that it allows.

    Nothing is connected yet: each is an async context manager, and its user's to open.
    """
    return [
        Node(url.reveal(), requests_per_second=rate)
        for url, rate in zip_longest(chain.rpc_urls, chain.requests_per_second)
    ]
