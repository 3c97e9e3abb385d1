"""A node is asked no oftener than it allows."""

import asyncio
from dataclasses import replace

import pytest
from fakechain import FakeChain
from fakenode import Faults, serve
from missed import read
from scene import scene

from daemon.chain import rpc
from daemon.chain.pace import Pace
from daemon.chain.rpc import Node
from daemon.command_line.reorgs import read_report
from daemon.rereading.making_good import verify

PER_SECOND = 50
BATCHED = 75
SINGLE = 25


def test_calls_go_out_no_faster_than_allowed_in_batches_and_alone() -> None:
    faults, chain = Faults(), FakeChain()
    chain.mine_empty(BATCHED)
    asked_at: list[tuple[float, int]] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        faults.before_request = lambda methods: asked_at.append((clock(), len(methods)))
        calls = [("eth_getBlockByNumber", (hex(number), False)) for number in range(BATCHED)]
        async with serve(chain, faults) as url, Node(url, requests_per_second=PER_SECOND) as node:
            shown = [int(block["number"], 16) for block in await node.batch(calls)]
            assert shown == list(range(BATCHED))
            await asyncio.gather(*(node.call("eth_chainId") for _ in range(SINGLE)))

    asyncio.run(main())
    assert max(count for _, count in asked_at) == PER_SECOND
    (first, _), (last, _) = asked_at[0], asked_at[-1]
    assert (BATCHED + SINGLE - 1) / PER_SECOND - 0.1 < last - first < 10
    for begin, _ in asked_at:
        assert sum(count for at, count in asked_at if begin <= at < begin + 0.9) <= 2 * PER_SECOND


def test_a_node_without_a_limit_is_not_waited_for() -> None:
    async def main() -> None:
        pace = Pace(None)
        begin = asyncio.get_running_loop().time()
        await pace.take(1_000_000)
        await pace.take(1)
        assert asyncio.get_running_loop().time() - begin < 1

    asyncio.run(main())


def test_what_was_not_asked_is_not_saved_up_for_later() -> None:
    now = [0.0]
    pace = Pace(10, clock=lambda: now[0])

    async def main() -> None:
        now[0] = 100.0  # long after it was made
        await pace.take(10)
        begin = asyncio.get_running_loop().time()
        await pace.take(1)
        assert asyncio.get_running_loop().time() - begin > 0.9

    asyncio.run(main())


@pytest.mark.parametrize("command", ["verify", "reorg show"])
def test_an_operators_commands_ask_a_node_no_oftener_than_its_watcher_does(
    database_url: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await read(here)
            settings = replace(here.settings(), requests_per_second=(PER_SECOND,))
            here.books.rows("update creditd.chain set state = 'halted', reason = '' returning 1")
            paces: list[int | None] = []

            def pace(calls_per_second: int | None) -> Pace:
                paces.append(calls_per_second)
                return Pace(calls_per_second)

            monkeypatch.setattr(rpc, "Pace", pace)
            if command == "verify":
                await verify(database_url, settings, 0, None)
            else:
                assert await read_report(database_url, settings) is not None
            assert paces == [PER_SECOND]

    asyncio.run(main())
