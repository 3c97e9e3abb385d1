"""Reading history with every block proven, against a loop that believes what the node says."""

import argparse
import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import psycopg
import structlog
from measuring import Measurement, Sample, compare, postgres, server_cpu_seconds, write

from contracts.catalogue import EVENTS, Decoded
from contracts.logs import Log
from daemon.anvil import Anvil
from daemon.config import Chain, Depth, SecretUrl
from daemon.demo.checks import Checks
from daemon.demo.terms import TOKEN
from daemon.demo.town import Town
from daemon.follower import Follower
from daemon.rpc import Node
from daemon.rules import Rule
from daemon.sources import Source
from ledger.audit import audit
from ledger.migrate import migrate

STAKED: Final = "staking-rewards.Staked"
EVENTS_PER_BLOCK: Final = 20
SPAN: Final = 100  # blocks in one step, and in one eth_getLogs of the reference


def main() -> None:
    """Measure and write bench/results/watcher.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=200)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with postgres() as url:
        write("watcher", asyncio.run(measure(url, options.rounds, options.blocks)))


async def measure(url: str, rounds: int, blocks: int) -> list[Measurement]:
    """Make a chain once and read it again and again into fresh books."""
    async with Anvil.start() as anvil, Node(anvil.url) as node:
        town = await Town.build(node, Checks(lambda: ()))
        await fill(node, town, blocks)
        events = blocks * EVENTS_PER_BLOCK
        names = iter(range(1_000_000))
        return [
            await asyncio.to_thread(
                lambda: compare(
                    work=f"backfill of {events:,} events in {blocks} blocks",
                    unit="events/s",
                    rounds=rounds,
                    ours=lambda: follow(fresh(url, next(names)), anvil.url, town, events),
                    reference=lambda: believe(fresh(url, next(names)), anvil.url, town, events),
                    reference_is="eth_getLogs, COPY and balances, nothing proven",
                )
            )
        ]


def fresh(url: str, number: int) -> str:
    """Make a database of its own for one round."""
    name = f"bench_{number}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return url.replace("/postgres?", f"/{name}?")


async def fill(node: Node, town: Town, blocks: int) -> None:
    """Mine blocks of EVENTS_PER_BLOCK stakes each."""
    await node.call("evm_setAutomine", False)
    staking = "0x" + town.staking.address.hex()
    for _ in range(blocks):
        calls = [
            (
                "eth_sendTransaction",
                (
                    {
                        "from": "0x" + town.earners[index % len(town.earners)].address.hex(),
                        "to": staking,
                        "gas": hex(200_000),
                        "data": "0xa694fc3a" + (TOKEN // 1000 + index).to_bytes(32).hex(),
                    },
                ),
            )
            for index in range(EVENTS_PER_BLOCK)
        ]
        await node.batch(calls)
        await node.call("evm_mine")


def chain_of(town: Town, node_url: str) -> Chain:
    """Return the configuration that follows the town's stakes."""
    source = Source("stakes", town.staking.address, STAKED, 1, None, Rule(10_000_000, TOKEN))
    return Chain(
        name="bench",
        chain_id=town.chain_id,
        rpc_url=SecretUrl(node_url),
        confirmation=Depth(1),
        on_deep_reorg="halt",
        poll_ms=1000,
        span_max=SPAN,
        blocks_remembered=1000,
        sources=(source,),
    )


def follow(url: str, node_url: str, town: Town, events: int) -> Sample:
    """Read the chain as the watcher does: blocks, events, grants, entries and balances."""
    migrate(url)

    async def run() -> None:
        follower = Follower(chain_of(town, node_url), url, "bench")
        await follower.open()
        try:
            await follower.turn()
        finally:
            await follower.close()

    sample = timed(url, events, lambda: asyncio.run(run()))
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from creditd.event").fetchone()
    if row is None or row[0] < events:
        raise SystemExit(f"only {row} of {events} events were read")
    if not asyncio.run(audit(url)).balanced:
        raise SystemExit("the books do not balance after the backfill")
    return sample


def believe(url: str, node_url: str, town: Town, events: int) -> Sample:
    """Read the chain as a bare loop does: logs by range, events by COPY, one sum a wallet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table seen (block bigint, tx bytea, ordinal int, wallet bytea, amount numeric);"
            "create table total (wallet bytea primary key, amount numeric not null)"
        )

    async def run() -> None:
        async with Node(node_url) as node:
            head = int(await node.call("eth_blockNumber"), 16)
            for first in range(0, head + 1, SPAN):
                keep(url, await stakes(node, town, first, min(first + SPAN - 1, head)))

    return timed(url, events, lambda: asyncio.run(run()))


async def stakes(
    node: Node, town: Town, first: int, last: int
) -> Sequence[tuple[int, bytes, int, bytes, int]]:
    """Return the stakes of some blocks, as the node tells them."""
    event = EVENTS[STAKED]
    asked = {
        "address": "0x" + town.staking.address.hex(),
        "topics": ["0x" + event.topic0.hex()],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    rows = []
    for raw in await node.call("eth_getLogs", asked):
        log = Log(
            town.staking.address,
            tuple(bytes.fromhex(topic[2:]) for topic in raw["topics"]),
            bytes.fromhex(raw["data"][2:]),
            bytes.fromhex(raw["transactionHash"][2:]),
            0,
            int(raw["logIndex"], 16),
        )
        decoded = event.decode(log)
        if isinstance(decoded, Decoded):
            block = int(raw["blockNumber"], 16)
            rows.append((block, log.tx_hash, log.log_index, decoded.wallet, decoded.amount))
    return rows


def keep(url: str, rows: Sequence[tuple[int, bytes, int, bytes, int]]) -> None:
    """Write events and sums in one transaction."""
    totals: dict[bytes, int] = {}
    with psycopg.connect(url) as connection:
        cursor = connection.cursor()
        with cursor.copy("copy seen from stdin") as copy:
            for row in rows:
                copy.write_row(row)
                totals[row[3]] = totals.get(row[3], 0) + row[4]
        cursor.executemany(
            "insert into total values (%s, %s)"
            " on conflict (wallet) do update set amount = total.amount + excluded.amount",
            list(totals.items()),
        )


def timed(url: str, events: int, work: Callable[[], None]) -> Sample:
    """Return events per second, and CPU of this process and of Postgres for each event."""
    cpu = time.process_time() + server_cpu_seconds(url)
    began = time.perf_counter()
    work()
    elapsed = time.perf_counter() - began
    spent = time.process_time() + server_cpu_seconds(url) - cpu
    return Sample(events / elapsed, spent * 1e6 / events)


if __name__ == "__main__":
    main()
