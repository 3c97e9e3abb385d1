"""What travels of how the process and the chains are."""

from typing import Literal

from msgspec import Struct

from api.shapes import (
    Utc,
)


class Health(Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True):
    """The process can charge: its ledger answers."""

    status: Literal["ready"] = "ready"


class Reorg(Struct, frozen=True):
    """A reorganisation of a chain that was undone in the books."""

    at: Utc
    depth: int


class ChainStatus(Struct, frozen=True):
    """How far a chain has been followed. Numbers are of blocks; `lag_blocks` lie in between."""

    chain_id: int
    chain: str
    state: str
    reason: str | None
    head_number: int
    indexed_number: int
    confirmed_number: int
    lag_blocks: int
    indexed_time: Utc | None
    confirmed_time: Utc | None
    reorgs: int
    last_reorg: Reorg | None
    watcher_seen_at: Utc | None


class AlarmStatus(Struct, frozen=True):
    """What an operator has to look at, and what helps. `chain` is null where it is the books."""

    chain: str | None
    alarm: str
    said: str
    remedy: str
    since: Utc


class Status(Struct, frozen=True):
    """Every chain that is followed, and all that an operator has to look at."""

    chains: list[ChainStatus]
    alarms: list[AlarmStatus]
