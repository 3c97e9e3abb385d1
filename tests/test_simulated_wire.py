"""What the simulation's exchange in memory gives, a socket gives."""

import asyncio
from collections.abc import Sequence

import pytest
from fakechain import FakeChain, staked
from fakenode import (
    Failure,
    FakeNode,
    Faults,
    Reset,
    Says,
    Silence,
    Status,
    Truncated,
    listen,
)
from simulation.wire import wired

from daemon.chain.rpc import ATTEMPTS_MAX, Node, NodeRefused, NodeUnavailable

# Silence is known for what it is after so long.
ANSWER_SECONDS_MAX = 0.3

CALLS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("eth_chainId", ()),
    ("eth_getBlockByNumber", ("latest", False)),
    ("eth_getBlockByNumber", ("0x9", False)),
    ("eth_getBlockReceipts", ("0x1",)),
)
REFUSED = (*CALLS, ("eth_mistaken", ()))
FAILURES: tuple[tuple[Failure, ...], ...] = (
    (),
    (Reset(),),
    (Reset(),) * 10,
    (Silence(),) * 10,
    (Truncated(),) * 10,
    (Truncated(announced=True),) * 10,
    (Truncated(), Status(503)),
    (Says(b"{}"),) * 10,
    (Says(b"<html>busy</html>"),) * 10,
    (Says(b""),) * 10,
    (Status(503),) * 10,
    (Status(429, "60"),),
    (Status(429, "0"), Status(408)),
    (Status(401),),
    (Status(413),) * 10,
)


async def said(url: str, faults: Faults, failures: Sequence[Failure]) -> list[object]:
    """What a client makes of one call, one batch, and one batch with a call that is refused."""
    found: list[object] = []
    async with Node(url, timeout_seconds=ANSWER_SECONDS_MAX) as node:
        for ask in (
            lambda: node.call(*CALLS[1][:1], *CALLS[1][1]),
            lambda: node.batch(CALLS),
            lambda: node.batch(REFUSED),
        ):
            faults.failures.clear()
            faults.failures.extend(failures)
            try:
                found.append(await ask())
            except (NodeUnavailable, NodeRefused) as error:
                found.append((type(error), str(error).replace(node.endpoint, "")))
    return found


@pytest.mark.parametrize("failures", FAILURES, ids=repr)
def test_an_answer_in_memory_is_that_of_a_socket(
    failures: Sequence[Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.chain.rpc.BACKOFF_SECONDS", (0.0,) * (ATTEMPTS_MAX - 1))
    chain, faults = FakeChain(), Faults(reorder_batches=not failures)
    chain.mine(staked(b"\xca" * 20, b"\xa1" * 20, 7))
    node = FakeNode(chain, faults)

    async def main() -> tuple[list[object], list[object]]:
        async with listen(node) as url:
            by_socket = await said(url, faults, failures)
        with wired({"memory": node}):
            return by_socket, await said("http://memory", faults, failures)

    by_socket, in_memory = asyncio.run(main())
    assert in_memory == by_socket
    assert [len(methods) for methods in faults.requests] == 2 * [
        len(methods) for methods in faults.requests[: len(faults.requests) // 2]
    ]
