"""How good is good enough: what the watcher's figures are held against."""

from typing import Final

from wanted import Wanted

BACKFILL: Final = "backfill"
LOGS: Final = "believing eth_getLogs"
RECEIPTS: Final = "believing eth_getBlockReceipts"

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
)
