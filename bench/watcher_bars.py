"""How good is good enough: what the watcher's figures are held against."""

from typing import Final

from wanted import Wanted

BACKFILL: Final = "backfill"
LOGS: Final = "believing eth_getLogs"
RECEIPTS: Final = "believing eth_getBlockReceipts"
DELAYED: Final = "backfill, 50 ms away"
SPARSE: Final = "backfill of a sparse chain"
LATENCY: Final = "a new block's events"
SWAP: Final = "a reorg of pending blocks"
REVERSAL: Final = "a reorg of granted blocks"
RESTART: Final = "a killed watcher"
IDLE: Final = "idle at the tip"

BARS: Final = (
    Wanted("backfill, events/s", BACKFILL, at_least=15_000),
    Wanted("backfill, events/s: the aim", BACKFILL, at_least=20_000),
    # Of 100,000 events these are 6 and 4 seconds.
    Wanted("backfill, CPU µs of the watcher for an event", BACKFILL, at_most=60, of="client_us"),
    Wanted("the same: the aim", BACKFILL, at_most=40, of="client_us"),
    Wanted("backfill, CPU µs of Postgres for an event", BACKFILL, of="postgres_us"),
    Wanted("backfill / believing receipts", BACKFILL, RECEIPTS),
    Wanted("backfill / believing receipts: CPU of the reader", BACKFILL, RECEIPTS, of="client_us"),
    Wanted("backfill / believing logs", BACKFILL, LOGS),
    Wanted("backfill / believing logs: CPU of the reader", BACKFILL, LOGS, of="client_us"),
    Wanted("memory while backfilling, MB", BACKFILL, at_most=150, of="memory_mb"),
    Wanted(
        "growth of memory over the second half, MB", BACKFILL, at_most=10, of="memory_growth_mb"
    ),
    Wanted("backfill 50 ms away / here", DELAYED, BACKFILL, at_least=0.5),
    Wanted("sparse chain, blocks/s", SPARSE, at_least=2_000),
    Wanted("mined until pending and visible, ms, median", LATENCY, at_most=80),
    Wanted("mined until pending and visible, ms, p95", LATENCY, of="p95_ms"),
    # The proxy holds a poll back, and so the wait for one is not in it: it comes on top.
    Wanted("reorg of 64 pending blocks, s besides the poll", SWAP, at_most=0.5),
    Wanted("reorg of 64 granted blocks, s besides the poll", REVERSAL, at_most=0.5),
    Wanted("killed, started again, at the tip, s", RESTART, at_most=2),
    Wanted("of this until it leads, s", RESTART, of="until_leading_s"),
    Wanted("idle at the tip, % of a core", IDLE, at_most=2),
)
