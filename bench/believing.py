"""What reading a chain costs where nothing is proven: a bare loop that believes its node.

A program of its own, as the watcher is: `main` is started by `backfill`, and prints what it took.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiohttp
import msgspec
import psycopg
import uvloop

SPAN: Final = 500  # blocks of one eth_getLogs, and of one transaction
BATCH: Final = 100  # calls that travel together
AHEAD: Final = 3  # spans that are read while those before them are written

TABLES: Final = """
create table seen (block bigint, log_index int, block_hash bytea, tx_hash bytea, wallet bytea,
  amount numeric, primary key (block, log_index));
create table total (wallet bytea primary key, amount numeric not null);
create table checkpoint (block bigint not null);
insert into checkpoint values (-1);
"""


class Log(msgspec.Struct, rename="camel"):
    """What is used of a log."""

    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class Logs(msgspec.Struct):
    """The answer to eth_getLogs."""

    result: list[Log]


class Receipt(msgspec.Struct):
    """What is used of a receipt."""

    logs: list[Log]


class Receipts(msgspec.Struct):
    """An answer to eth_getBlockReceipts."""

    result: list[Receipt]


class Header(msgspec.Struct, rename="camel"):
    """What is used of a header."""

    hash: str
    parent_hash: str
    timestamp: str


class Headers(msgspec.Struct):
    """An answer to eth_getBlockByNumber."""

    result: Header


_LOGS: Final = msgspec.json.Decoder(Logs)
_RECEIPTS: Final = msgspec.json.Decoder(list[Receipts])
_HEADERS: Final = msgspec.json.Decoder(list[Headers])

Post = Callable[[object], Awaitable[bytes]]


def main() -> None:
    """Read a chain as the first argument says, and print seconds and CPU seconds."""
    task = json.loads(sys.argv[1])
    began, before = time.perf_counter(), os.times()
    uvloop.run(read(task))
    elapsed, after = time.perf_counter() - began, os.times()
    cpu = after.user + after.system - before.user - before.system
    print(json.dumps({"seconds": elapsed, "cpu": cpu}))


async def read(task: dict[str, str]) -> None:
    """Read up to the head; write each span in a transaction of its own."""
    reading = logs_of_span if task["how"] == "logs" else receipts_of_span
    async with aiohttp.ClientSession() as session:

        async def post(content: object) -> bytes:
            body = msgspec.json.encode(content)
            headers = {"Content-Type": "application/json"}
            async with session.post(task["node"], data=body, headers=headers) as response:
                return await response.read()

        head = int(msgspec.json.decode(await post(asked("eth_blockNumber")))["result"], 16)
        spans = deque((first, min(first + SPAN - 1, head)) for first in range(0, head + 1, SPAN))
        async with await psycopg.AsyncConnection.connect(task["books"]) as books:
            running: deque[tuple[int, asyncio.Task[Sequence[Log]]]] = deque()
            while spans or running:
                while spans and len(running) < AHEAD:
                    first, last = spans.popleft()
                    reads = reading(post, task["contract"], task["topic"], first, last)
                    running.append((last, asyncio.create_task(reads)))
                last, reads_of_span = running.popleft()
                await keep(books, await reads_of_span, last)


def asked(method: str, *params: object, number: int = 0) -> dict[str, object]:
    """Return a call as it travels."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def logs_of_span(
    post: Post, contract: str, topic: str, first: int, last: int
) -> Sequence[Log]:
    """Return what eth_getLogs says."""
    span = {"fromBlock": hex(first), "toBlock": hex(last)}
    answer = await post(asked("eth_getLogs", {**span, "address": contract, "topics": [topic]}))
    return _LOGS.decode(answer).result


async def receipts_of_span(
    post: Post, contract: str, topic: str, first: int, last: int
) -> Sequence[Log]:
    """Return what the receipts of all blocks say; their headers are read beside them."""
    found: list[Log] = []
    for start in range(first, last + 1, BATCH):
        numbers = range(start, min(start + BATCH, last + 1))
        headers, receipts = await asyncio.gather(
            post([asked("eth_getBlockByNumber", hex(n), False, number=n) for n in numbers]),
            post([asked("eth_getBlockReceipts", hex(n), number=n) for n in numbers]),
        )
        if len(_HEADERS.decode(headers)) != len(numbers):
            raise RuntimeError("the node did not tell all headers")
        for answer in _RECEIPTS.decode(receipts):
            for receipt in answer.result:
                found += [
                    log
                    for log in receipt.logs
                    if log.address == contract and log.topics[0] == topic
                ]
    return found


async def keep(
    books: "psycopg.AsyncConnection[tuple[object, ...]]", logs: Sequence[Log], last: int
) -> None:
    """Write events, sums and how far we are, in one transaction."""
    totals: Counter[bytes] = Counter()
    lines = []
    for log in logs:
        wallet, amount = log.topics[1][26:], int(log.data, 16)
        totals[bytes.fromhex(wallet)] += amount
        lines.append(
            f"{int(log.block_number, 16)}\t{int(log.log_index, 16)}\t\\\\x{log.block_hash[2:]}"
            f"\t\\\\x{log.transaction_hash[2:]}\t\\\\x{wallet}\t{amount}\n"
        )
    async with books.transaction(), books.cursor() as cursor:
        async with cursor.copy("copy seen from stdin") as copy:
            await copy.write("".join(lines).encode())
        await cursor.execute(
            "insert into total select * from unnest(%s::bytea[], %s::text[]::numeric[])"
            " on conflict (wallet) do update set amount = total.amount + excluded.amount",
            (list(totals), [str(amount) for amount in totals.values()]),
        )
        await cursor.execute("update checkpoint set block = %s", (last,))
