"""How fast is fast enough: what the API's figures are held against."""

from typing import Final

from wanted import Wanted

ECHO: Final = "echo, 64 connections"
RANDOM: Final = "charges, 64 connections, random accounts"
HOT: Final = "charges, 64 connections, one account"
PLAIN_RANDOM: Final = "plain, 64 connections, random accounts"
PLAIN_HOT: Final = "plain, 64 connections, one account"
LONE: Final = "a charge, one connection"
ALONE: Final = "pgbench -N, one client"
CROWD: Final = "charges, 500 connections, random accounts"
BULK: Final = "bulk charges, 100 a call, random accounts"
BALANCES: Final = "balances, 64 connections, beside a writer"
MEMORY: Final = "memory of the process"

BARS: Final = (
    Wanted("CPU µs of the API, a charge - an echo", RANDOM, less=ECHO, at_most=40, of="client_us"),
    Wanted("CPU µs of the API, an echo", ECHO, of="client_us"),
    Wanted("CPU µs of the API, a charge", RANDOM, of="client_us"),
    Wanted("CPU µs of the API, a charge of one account", HOT, of="client_us"),
    Wanted("CPU µs of the plain API, a charge", PLAIN_RANDOM, of="client_us"),
    Wanted("charges/s, random / plain", RANDOM, PLAIN_RANDOM, at_least=3),
    Wanted("charges/s, one account / plain", HOT, PLAIN_HOT, at_least=10),
    Wanted("one connection / pgbench -N, p50", LONE, ALONE, at_most=2),
    Wanted("500 connections: p50 / (500 / charges/s)", CROWD, at_most=1.3, of="p50_of_share"),
    Wanted("500 connections: p99 / p50", CROWD, at_most=3, of="p99_of_p50"),
    Wanted("bulk, charges/s", BULK, at_least=15_000),
    Wanted("CPU µs of the API, a charge in bulk", BULK, of="client_us"),
    Wanted("balances/s from memory / echo", BALANCES, ECHO, at_least=0.8),
    Wanted("MB of a process after all this", MEMORY, at_most=100),
)
