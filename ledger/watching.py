"""Watching: what a chain's watcher writes, and only while it leads the chain.

Blocks, events, grants and the cursor move in one transaction; the functions check the leader's
epoch in the cursor's row, so that a watcher that was cut off for a while cannot write any more.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ledger.array_parameters import bigints, byteas, integers
from ledger.connecting import translating
from ledger.errors import AnotherLeader
from ledger.session import Session
from ledger.sighting_columns import aside_columns, event_columns
from ledger.sightings import (
    ADDS,
    EARNS,
    TAKES,
    TERM_PLACES,
    ChainEntry,
    Position,
    RuleEntry,
    SeenBlock,
    SeenEvent,
    SetAside,
    StakeTerms,
)

__all__ = [
    "ADDS",
    "EARNS",
    "GENESIS_PARENT",
    "TAKES",
    "ChainEntry",
    "Position",
    "RuleEntry",
    "SeenBlock",
    "SeenEvent",
    "SetAside",
    "StakeTerms",
    "Watching",
]

GENESIS_PARENT: Final = bytes(32)  # the parent hash of block 0

# How many events one transaction confirms: all its accounts are held until it ends. Some thousand
# take a few hundredths of a second; when charges wait for them, some dozen are to be enough.
EVENTS_AT_ONCE_MAX: Final = 2_000
EVENTS_AT_ONCE_MIN: Final = 50
# Whoever charges now is likely to charge again within that. Who waits is seen only at the end of a
# transaction: dozens of a size have to be without, before there are larger ones.
CALM_SECONDS: Final = 1.0
RISE_SECONDS: Final = 0.1
# A plan made while a table was small would read it whole when a backfill has filled it; to plan
# anew takes some milliseconds, which is as long as some hundred grants.
PLANS_KEPT_SECONDS: Final = 1.0

# Any session of the database can take the lock that a leader has: who has it is to be seen.
_HOLDER: Final = """
select l.pid, coalesce(a.usename, '?') from pg_locks l
  cross join hashtextextended('creditd leads chain ' || %s, 0) k
  left join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and (l.classid::bigint << 32 | l.objid::bigint) = k"""

_ENTER_RULE: Final = f"select creditd.enter_rule(%s, %s, {TERM_PLACES})"

# What was accepted before the books moved last is of a reorg that is over.
_POSITION: Final = """
select c.state, c.reason, c.indexed_number, c.indexed_hash, c.confirmed_number,
  coalesce(c.accruing_number, c.confirmed_number), array(
    select a.new_hash from creditd.accepted_reorg a where c.state = 'halted'
    and (a.chain_id, a.number, a.left_hash, a.reorgs)
      = (c.chain_id, coalesce(c.accruing_number, c.confirmed_number),
         coalesce(g.hash, c.confirmed_hash), c.reorgs))
from creditd.chain c
  left join creditd.block g on g.chain_id = c.chain_id and g.number = c.accruing_number
where c.chain_id = %s"""


class Watching:
    """The writes of the watcher that leads one chain. Made by `Watching.lead`."""

    def __init__(self, session: Session, granting: Session, chain_id: int, epoch: int) -> None:
        self._session = session
        self._granting = granting
        self._chain_id = chain_id
        self.epoch = epoch
        self._at_once = EVENTS_AT_ONCE_MIN
        self._rises_at = monotonic() + RISE_SECONDS
        self._planned_at: dict[Session, float] = {}

    @classmethod
    @asynccontextmanager
    async def lead(
        cls, database_url: str, chain: ChainEntry, leader: str
    ) -> AsyncIterator["Watching"]:
        """Become the leader of a chain for as long as the session lasts.

        Raises AnotherLeader while another watcher leads it, WrongChain if the books follow a chain
        of the same id with another genesis, SchemaMismatch, LedgerUnavailable.
        """
        session, granting = (Session(database_url, "creditd_watcher") for _ in range(2))
        try:
            await session.require_release()
            rows = await session.rows(
                "select creditd.lead_chain(%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    chain.chain_id,
                    chain.name,
                    chain.genesis,
                    leader,
                    chain.depth,
                    chain.anchor_number,
                    chain.anchor_hash,
                    datetime.fromtimestamp(chain.anchor_time, UTC),
                ),
            )
            if rows[0][0] is None:
                held = await session.rows(_HOLDER, (chain.chain_id,))
                by = f" (session {held[0][0]}, {held[0][1]})" if held else ""
                raise AnotherLeader(f"another watcher leads chain {chain.chain_id}{by}")
            yield cls(session, granting, chain.chain_id, rows[0][0])
        finally:
            await granting.close()
            await session.close()

    async def enter_rules(self, rules: Sequence[RuleEntry]) -> dict[str, int]:
        """Enter all sources of the chain or, raising RuleConflict, none.

        Returns their numbers by name. Others that the books have for the chain end here.
        """
        async with self._transaction() as connection:
            numbers = {
                rule.name: await _one(
                    connection, _ENTER_RULE, (self._chain_id, self.epoch, *rule.terms())
                )
                for rule in rules
            }
            await connection.execute(
                "select creditd.leave_rules(%s, %s, %s::integer[])",
                (self._chain_id, self.epoch, list(numbers.values())),
            )
            return numbers

    async def position(self) -> Position:
        """Return where the books stand."""
        rows = await self._session.rows(_POSITION, (self._chain_id,))
        return Position(*rows[0])

    async def hash_at(self, number: int) -> bytes | None:
        """Return the hash the books remember for a height, None where they remember none."""
        rows = await self._session.rows(
            "select hash from creditd.block where chain_id = %s and number = %s",
            (self._chain_id, number),
        )
        return rows[0][0] if rows else None

    async def oldest_remembered(self) -> int:
        """Return the lowest height the books remember."""
        rows = await self._session.rows(
            "select min(number) from creditd.block where chain_id = %s", (self._chain_id,)
        )
        return int(rows[0][0])

    async def append(
        self,
        *,
        head_number: int,
        blocks: Sequence[SeenBlock],
        events: Sequence[SeenEvent],
        set_aside: Sequence[SetAside],
        confirm: tuple[int, bytes] | None,
        remember: int,
        resume: bool = False,
    ) -> int:
        """Append blocks with their events and confirm up to a final block, all in one transaction.

        `confirm` is number and hash of a block that is final; it may be one of `blocks` or older.
        `resume` lets a halted chain's grants go on with this.
        Of very many events only those of the first blocks are confirmed: the position says up to
        where, and the next call goes on from there.
        Returns how many events were confirmed. Raises BrokenLink if the blocks do not follow the
        cursor, Deposed if this watcher leads no more.
        """
        async with self._transaction() as connection:
            if resume:
                await connection.execute(
                    "select creditd.resume_chain(%s, %s)", (self._chain_id, self.epoch)
                )
            columns = (
                bigints([block.number for block in blocks]),
                byteas([block.hash for block in blocks]),
                byteas([block.parent for block in blocks]),
                bigints([block.time for block in blocks]),
            )
            if blocks:
                await connection.execute(
                    "select creditd.enter_blocks(%s, %s, %s, %s, %s, %s)",
                    (self._chain_id, self.epoch, *columns),
                )
            if events:
                await self._see(connection, events)
            if set_aside:
                await self._set_aside(connection, set_aside)
            await connection.execute(
                "select creditd.append_blocks(%s, %s, %s, %s, %s, %s, %s)",
                (self._chain_id, self.epoch, head_number, *columns),
            )
            if confirm is None:
                return 0
            return (await self._confirm(connection, confirm, remember))[0]

    async def confirm(
        self, block: tuple[int, bytes], *, remember: int, until: Callable[[], bool]
    ) -> int:
        """Confirm up to a final block that the books have, while `append` may go on beside it.

        In as many transactions as it takes, until all is done, or `until` says so after one.
        Returns how many events. Raises as `append` does.
        """
        count, number = 0, -1
        while number < block[0]:
            beside = (await self._session.connection()).info.backend_pid
            async with self._transaction(self._granting) as connection:
                events, number = await self._confirm(connection, block, remember, beside)
            count += events
            if until():
                break
        return count

    async def _confirm(
        self,
        connection: AsyncConnection[TupleRow],
        confirm: tuple[int, bytes],
        remember: int,
        beside: int | None = None,
    ) -> tuple[int, int]:
        """Return how many events were confirmed, and the last block that is."""
        cursor = await connection.execute(
            "select * from creditd.confirm_blocks(%s, %s, %s, %s, %s, %s, %s)",
            (self._chain_id, self.epoch, *confirm, remember, self._at_once, beside),
        )
        events, waited, number = (await cursor.fetchall())[0]
        now = monotonic()
        if waited:
            self._at_once, self._rises_at = EVENTS_AT_ONCE_MIN, now + CALM_SECONDS
        elif now >= self._rises_at:
            self._at_once = min(2 * self._at_once, EVENTS_AT_ONCE_MAX)
            self._rises_at = now + RISE_SECONDS
        return int(events), int(number)

    async def drop(self, to_number: int) -> int:
        """Forget the pending blocks above a height. Returns how many events went with them."""
        return await self._call("drop_blocks", to_number)

    async def reverse(self, to_number: int) -> int:
        """Take back every grant above a height and forget its blocks. Returns how many events."""
        return await self._call("reverse_blocks", to_number)

    async def halt(
        self, reason: str, ancestor: int | None = None, other_hash: bytes | None = None
    ) -> None:
        """Stop this chain's grants; above `ancestor` the confirmed block gave way to another."""
        await self._call("halt_chain", reason, ancestor, other_hash)

    async def resume(self) -> None:
        """Let a halted chain's grants go on."""
        await self._call("resume_chain")

    async def see_head(self, head_number: int) -> None:
        """Say that the watcher is alive and where the node's head is."""
        await self._call("see_head", head_number)

    async def expire_idle(self, limit: int) -> int:
        """Post what is past its end on at most `limit` accounts. Returns how many lots ended."""
        rows = await self._session.rows("select creditd.expire_idle(%s)", (limit,))
        return int(rows[0][0])

    async def expire_reservations(self, limit: int) -> int:
        """End at most `limit` reservations whose time is over. Returns how many."""
        rows = await self._session.rows("select creditd.expire_reservations(%s)", (limit,))
        return int(rows[0][0])

    async def _call(self, function: str, *arguments: object) -> int:
        places = ", ".join(["%s"] * (2 + len(arguments)))
        rows = await self._session.rows(
            f"select creditd.{function}({places})",
            (self._chain_id, self.epoch, *arguments),
        )
        return int(rows[0][0] or 0)

    @asynccontextmanager
    async def _transaction(
        self, session: Session | None = None
    ) -> AsyncIterator[AsyncConnection[TupleRow]]:
        session = session or self._session
        connection = await session.connection()
        with translating():
            now = monotonic()
            if now - self._planned_at.get(session, -PLANS_KEPT_SECONDS) >= PLANS_KEPT_SECONDS:
                await connection.execute("discard plans")
                self._planned_at[session] = now
            async with connection.transaction():
                yield connection

    async def _see(
        self, connection: AsyncConnection[TupleRow], events: Sequence[SeenEvent]
    ) -> None:
        await connection.execute(
            "select creditd.see_events(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::numeric[], %s)",
            (
                self._chain_id,
                self.epoch,
                bigints([event.block_number for event in events]),
                *event_columns(events),
            ),
        )
        waiting = [event for event in events if event.blocks_more]
        if waiting:
            await connection.execute(
                "select creditd.let_events_wait(%s, %s, %s, %s, %s)",
                (
                    self._chain_id,
                    self.epoch,
                    byteas([event.tx_hash for event in waiting]),
                    integers([event.ordinal for event in waiting]),
                    bigints([event.blocks_more for event in waiting]),
                ),
            )

    async def _set_aside(
        self, connection: AsyncConnection[TupleRow], logs: Sequence[SetAside]
    ) -> None:
        await connection.execute(
            "select creditd.set_logs_aside(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                self._chain_id,
                self.epoch,
                bigints([log.block_number for log in logs]),
                *aside_columns(logs),
            ),
        )


async def _one(
    connection: AsyncConnection[TupleRow], statement: str, parameters: Sequence[object]
) -> int:
    row = await (await connection.execute(statement, parameters)).fetchone()
    if row is None:
        raise AssertionError("a function returns a row")
    return int(row[0])
