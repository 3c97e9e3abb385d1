"""Late events: what was missed of blocks that are final, entered beside the watcher that leads.

The functions hold the chain's row as the leader's writes do, so each comes before or after a step
of it; the epoch says that no other watcher took over since the caller looked.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import TupleRow

from ledger.array_parameters import bigints, byteas
from ledger.connecting import translating
from ledger.said_stakes import SaidStakes
from ledger.session import Session, opened
from ledger.sighting_columns import aside_columns, event_columns
from ledger.sightings import TERM_PLACES, Cause
from ledger.watching import RuleEntry, SeenBlock, SeenEvent, SetAside

# All accounts of a transaction are held until it ends, and charges of them wait.
LATE_EVENTS_MAX: Final = 200
SET_ASIDE_MAX: Final = 10_000  # of one question: more than a person looks at


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chain stands, and the epoch under which that was seen."""

    chain_id: int
    epoch: int
    genesis: bytes
    state: str
    indexed_number: int
    confirmed_number: int


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of a confirmed block. `granted` is in micro-credits, after caps.

    One that waits for later blocks has no account yet.
    """

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    ordinal: int
    role: int
    log_index: int
    rule_id: int
    source: str
    wallet: bytes
    amount: int
    granted: int
    root_id: int | None
    account_id: int | None
    lot_no: int | None

    @property
    def cause(self) -> Cause:
        """As `SeenEvent.cause`."""
        return self.tx_hash, self.ordinal, self.role


@dataclass(frozen=True, slots=True)
class AsideRow:
    """A log that was set aside, and why."""

    chain: str
    source: str
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    ordinal: int
    log_index: int
    address: bytes
    topics: Sequence[bytes]
    data: bytes
    reason: str
    seen_at: datetime
    is_final: bool


@dataclass(frozen=True, slots=True)
class Rereading:
    """How far a chain's final blocks have been read again: the next one, and how many rounds.

    What was `found` to differ lies in blocks from `found_first` on.
    """

    next_number: int
    rounds: int
    found: str | None
    found_first: int | None = None


_ASIDE: Final = """
select c.name, r.name, s.block_number, s.block_hash, s.tx_hash, s.ordinal, s.log_index, s.address,
  s.topics, s.data, s.reason, s.seen_at, s.block_number <= c.confirmed_number
from creditd.set_aside s join creditd.chain c using (chain_id) join creditd.rule r using (rule_id)
where (%s::text is null or r.name = %s)
  and s.block_number between coalesce(%s::bigint, 0) and coalesce(%s::bigint, s.block_number)
order by c.name, s.block_number, s.log_index limit %s"""

_RECORDED: Final = """
select e.block_number, e.block_hash, e.tx_hash, e.ordinal, e.role, e.log_index, e.rule_id, r.name,
  e.wallet, e.amount, coalesce(e.granted, 0), e.root_id, e.account_id, e.lot_no
from creditd.event e join creditd.rule r using (rule_id)
where e.chain_id = %s and e.block_number between %s and %s and e.state <> 'reversed'
  and e.ordinal <> -1 and (e.amount > 0 or e.granted > 0)
order by e.block_number, e.log_index, e.role"""


class Late:
    """A session that enters late events of one chain. Made by `Late.open`.

    Every method raises LedgerUnavailable if the database does not answer; those that write raise
    Deposed if another watcher took over since `place`, and NotLate for what the books refuse.
    """

    def __init__(self, session: Session, chain_id: int) -> None:
        self._session = session
        self._chain_id = chain_id
        self.said_stakes = SaidStakes(session, chain_id)

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, chain_id: int) -> AsyncIterator["Late"]:
        """Open a session. It connects when it is first used, and again after an outage."""
        session = Session(database_url, "creditd_watcher")
        try:
            yield cls(session, chain_id)
        finally:
            await session.close()

    async def place(self) -> Place | None:
        """Return where the chain stands, None if the books do not know it."""
        rows = await self._session.rows(
            "select chain_id, epoch, genesis, state, indexed_number, confirmed_number"
            " from creditd.chain where chain_id = %s",
            (self._chain_id,),
        )
        return Place(*rows[0]) if rows else None

    async def rules(self) -> dict[str, int]:
        """Return the numbers of the chain's sources by their names."""
        rows = await self._session.rows(
            "select name, rule_id from creditd.rule where chain_id = %s", (self._chain_id,)
        )
        return {str(name): int(rule_id) for name, rule_id in rows}

    async def recorded(self, first: int, last: int) -> list[RecordedEvent]:
        """Return the events of the confirmed blocks `first` to `last`, both included, in order.

        But for those of no amount that were granted nothing: they are not looked for on the chain.
        """
        rows = await self._session.rows(_RECORDED, (self._chain_id, first, last))
        return [_recorded(row) for row in rows]

    async def hashes(self, first: int, last: int) -> dict[int, bytes]:
        """Return the hashes that the books remember of blocks `first` to `last`, by number."""
        rows = await self._session.rows(
            "select number, hash from creditd.block"
            " where chain_id = %s and number between %s and %s",
            (self._chain_id, first, last),
        )
        return {int(number): bytes(found) for number, found in rows}

    async def set_aside(self, source: str, first: int, last: int | None) -> list[AsideRow]:
        """Return the logs of a source that were set aside, in order, SET_ASIDE_MAX at most.

        Of blocks `first` to `last`, both included; None: of all from `first` on.
        """
        rows = await self._session.rows(_ASIDE, (source, source, first, last, SET_ASIDE_MAX))
        return [AsideRow(*row) for row in rows]

    async def rereading(self) -> Rereading | None:
        """Return how far the chain's final blocks have been read again; None: not at all."""
        rows = await self._session.rows(
            "select next_number, rounds, found, found_first from creditd.rereading"
            " where chain_id = %s",
            (self._chain_id,),
        )
        return Rereading(*rows[0]) if rows else None

    async def note_reread(
        self,
        epoch: int,
        first: int,
        last: int,
        found: str | None,
        *,
        next_number: int | None = None,
    ) -> None:
        """Note that blocks were read again; what was `found` is an alarm, until it is not any more.

        `next_number` is for whoever reads round and round: where it goes on.
        """
        await self._session.rows(
            "select creditd.note_reread(%s, %s, %s, %s, %s, %s)",
            (self._chain_id, epoch, first, last, found, next_number),
        )

    async def hash_of(self, number: int) -> bytes | None:
        """Return the hash that the books remember of a block, None if they remember none."""
        return (await self.hashes(number, number)).get(number)

    async def enter_rule(self, epoch: int, rule: RuleEntry) -> tuple[int, int]:
        """Enter a source that begins behind the cursor, or goes on with one that was left.

        Returns its number, and the last block up to which it has been followed. Raises
        RuleConflict if the books have another source of the name.
        """
        rows = await self._session.rows(
            f"select * from creditd.enter_late_rule(%s, %s, {TERM_PLACES})",  # noqa: S608 - places, no values
            (self._chain_id, epoch, *rule.terms()),
        )
        return int(rows[0][0]), int(rows[0][1])

    async def admit(
        self,
        epoch: int,
        blocks: Mapping[int, SeenBlock],
        events: Sequence[SeenEvent],
        set_aside: Sequence[SetAside] = (),
        *,
        follow: tuple[int, int] | None = None,
    ) -> int:
        """Enter and grant events of confirmed blocks, and set logs of such aside.

        `blocks` are proven, by number. What is in the books stays as it is. `follow` is the number
        of a source and a block up to which it has been read with this. Events of whole blocks go
        into one transaction, LATE_EVENTS_MAX or one block's. Returns how many came in.
        """
        # What is set aside comes first: where a source has been read, it is not read again.
        count = await self._admit(epoch, blocks, (), set_aside, None) if set_aside else 0
        for part in _parts(events):
            last_of_part = part[-1].block_number
            until = (follow[0], last_of_part) if follow is not None else None
            count += await self._admit(epoch, blocks, part, (), until)
        if follow is not None:
            count += await self._admit(epoch, blocks, (), (), follow)
        return count

    async def _admit(
        self,
        epoch: int,
        blocks: Mapping[int, SeenBlock],
        events: Sequence[SeenEvent],
        set_aside: Sequence[SetAside],
        follow: tuple[int, int] | None,
    ) -> int:
        connection = await self._session.connection()
        count = 0
        with translating():
            async with connection.transaction():
                if follow is not None:
                    await connection.execute(
                        "select creditd.follow_late_to(%s, %s, %s, %s)",
                        (self._chain_id, epoch, *follow),
                    )
                if events:
                    cursor = await connection.execute(
                        "select creditd.admit_late(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                        " %s::numeric[], %s, %s)",
                        (
                            *(self._chain_id, epoch, *_of_blocks(blocks, events)),
                            *event_columns(events),
                            bigints([event.blocks_more for event in events]),
                        ),
                    )
                    row = await cursor.fetchone()
                    count = 0 if row is None else int(row[0])
                if set_aside:
                    await connection.execute(
                        "select creditd.set_late_aside(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                        " %s, %s)",
                        (
                            *(self._chain_id, epoch, *_of_blocks(blocks, set_aside)),
                            *aside_columns(set_aside),
                        ),
                    )
        return count

    async def rewind(self, epoch: int, to_number: int) -> int:
        """Forget the pending blocks above a height, so that the leader reads them again.

        It leads anew for that. Returns how many events went.
        """
        rows = await self._session.rows(
            "select creditd.rewind_chain(%s, %s, %s)", (self._chain_id, epoch, to_number)
        )
        return int(rows[0][0])


async def aside_rows(database_url: str, source: str | None) -> list[AsideRow]:
    """Return the logs that were set aside, of one source or of all, SET_ASIDE_MAX at most.

    Raises SchemaMismatch, LedgerUnavailable.
    """
    async with opened(database_url, "creditd_reader") as session:
        rows = await session.rows(_ASIDE, (source, source, None, None, SET_ASIDE_MAX))
    return [AsideRow(*row) for row in rows]


def _recorded(row: TupleRow) -> RecordedEvent:
    values: list[Any] = [int(value) if isinstance(value, Decimal) else value for value in row]
    return RecordedEvent(*values)


def _parts(events: Sequence[SeenEvent]) -> list[list[SeenEvent]]:
    """Return the events in parts of whole blocks, each of about LATE_EVENTS_MAX."""
    parts: list[list[SeenEvent]] = []
    for event in events:
        last = parts[-1] if parts else []
        if last and (len(last) < LATE_EVENTS_MAX or last[-1].block_number == event.block_number):
            last.append(event)
        else:
            parts.append([event])
    return parts


def _of_blocks(
    blocks: Mapping[int, SeenBlock], seen: Sequence[SeenEvent] | Sequence[SetAside]
) -> tuple[object, ...]:
    """Return number, hash and time of the block of each."""
    numbers = [each.block_number for each in seen]
    return (
        bigints(numbers),
        byteas([blocks[number].hash for number in numbers]),
        bigints([blocks[number].time for number in numbers]),
    )
