"""The outbox: what is to be told to receivers outside, and what came of telling them.

Messages are written with what they tell of, in the same transaction, for every receiver that asked
for the topic. They are delivered at least once and, for one account, in the order of its entries:
a message that fails keeps the later ones of its account waiting, nobody else's.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ledger.connecting import translating
from ledger.ids import AccountRef
from ledger.session import Session, opened

TOPICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "grant.confirmed": "credits were granted",
        "grant.reversed": (
            "a grant was taken back: its block left the chain, or an operator took it back"
        ),
        "debt.opened": "credits that were taken back had been spent",
        "debt.repaid": "a debt was repaid, whole or in part",
        "balance.low": "the balance fell below the account's threshold",
        "budget.level": "a member's budget reached one of its levels",
        "alarm.raised": "an operator has to look at something: `alarm` says what kind it is of",
        "alarm.cleared": "what an operator had to look at is over",
    }
)
"""What can be announced."""

# The fields of a body that are amounts. `member` is an account under the same root; whatever else
# there is means itself.
AMOUNTS: Final = frozenset(
    {
        *("amount", "available", "held", "debt", "below", "granted", "spent"),
        *("limit", "used", "left", "taken_back", "owed", "repaid", "absorbed"),
    }
)

# Accounts whose messages are delivered in one turn, and how many of each: what a stop or a crash in
# the middle of it may have delivered twice.
ACCOUNTS_MAX: Final = 32
EACH_MAX: Final = 8
# A notification may be lost (a pooler in between, a standby): later than this it is looked for.
LOOK_SECONDS_MAX: Final = 30.0
# Rows that one statement of the tidying job touches: each transaction stays short.
TIDY_ROWS_MAX: Final = 5_000
DELIVERED_KEPT_DAYS: Final = 7  # long enough to look a complaint up
DEAD_KEPT_DAYS: Final = 90  # a quarter, for a person to decide
WAITING_DAYS_MAX: Final = 7  # who has not come for a message by then reads the books instead


@dataclass(frozen=True, slots=True)
class Message:
    """What one receiver is to be told.

    `seq` and `place` order the messages of one account: its last entry when this was written, and
    which message of that entry it is. `tries` have failed so far. `body` holds amounts in
    micro-credits (AMOUNTS).
    """

    account: AccountRef
    seq: int
    place: int
    message_id: UUID
    topic: str
    body: Mapping[str, Any]
    at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver does not have it; the next try is after `wait_seconds`."""

    said: str
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Dead:
    """The receiver does not have it, and there will be no further try but by hand."""

    said: str


Outcome = Delivered | Failed | Dead


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """How it stands with a receiver. `said` is what was wrong with its last failed try.

    `left` is a receiver that the configuration does not name any more.
    """

    name: str
    topics: Sequence[str]
    left: bool
    waiting: int
    waiting_since: datetime | None
    dead: int
    said: str | None


class Outbox:
    """A session that delivers to one receiver, or keeps the outbox. Made by `Outbox.open`.

    Every method raises LedgerUnavailable if the database does not answer.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._leading: AsyncConnection[TupleRow] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Outbox"]:
        """Open a session. It connects when it is first used, and again after an outage."""
        session = Session(database_url, "creditd_watcher")
        try:
            yield cls(session)
        finally:
            await session.close()

    async def enter(self, receivers: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Say who is told of what from now on, by name; nobody else is. Returns their numbers.

        Raises SchemaMismatch if the database runs another release.
        """
        await self._session.require_release()
        rows = await self._session.rows(
            "select * from creditd.enter_receivers(%s::text[], %s::text[])",
            (list(receivers), [" ".join(topics) for topics in receivers.values()]),
        )
        return {str(name): int(number) for name, number in rows}

    async def lead(self, receiver_id: int) -> bool:
        """Return whether this session is the one that delivers to the receiver.

        It is so for as long as its connection lasts. While another one is, false.
        """
        connection = await self._connection()
        if self._leading is connection:
            return True
        with translating():
            # Listening comes before the first look: nothing is announced in between unheard.
            await connection.execute("listen creditd_outbox")
            cursor = await connection.execute("select creditd.lead_receiver(%s)", (receiver_id,))
            (leads,) = await cursor.fetchone() or (False,)
        if leads:
            self._leading = connection
        return bool(leads)

    async def due(self, receiver_id: int) -> list[list[Message]]:
        """Return what is to be delivered now: of some accounts, each one's first messages in order.

        A later one must not be delivered while one before it has failed.
        """
        rows = await self._session.rows(
            "select root_id, account_id, seq, place, message_id, topic, body, at, tries"
            " from creditd.due_messages(%s, %s, %s)",
            (receiver_id, ACCOUNTS_MAX, EACH_MAX),
        )
        lines: dict[AccountRef, list[Message]] = {}
        for root_id, account_id, *rest in rows:
            account = AccountRef(root_id, account_id)
            lines.setdefault(account, []).append(Message(account, *rest))
        return list(lines.values())

    async def end(self, receiver_id: int, outcomes: Sequence[tuple[Message, Outcome]]) -> None:
        """Write down what came of tries. What is not written down is delivered again."""
        if not outcomes:
            return
        told = [_as_columns(outcome) for _, outcome in outcomes]
        messages = [message for message, _ in outcomes]
        await self._session.rows(
            "select creditd.end_messages(%s, %s::bigint[], %s::bigint[], %s::bigint[],"
            " %s::integer[], %s::text[], %s::text[], %s::double precision[])",
            (
                receiver_id,
                [message.account.root_id for message in messages],
                [message.account.account_id for message in messages],
                [message.seq for message in messages],
                [message.place for message in messages],
                *(list(column) for column in zip(*told, strict=True)),
            ),
        )

    async def wait(self, receiver_id: int) -> None:
        """Return when there may be something to deliver, after LOOK_SECONDS_MAX at the latest."""
        rows = await self._session.rows("select creditd.next_message_in(%s)", (receiver_id,))
        next_in = rows[0][0]
        seconds = LOOK_SECONDS_MAX if next_in is None else min(next_in, LOOK_SECONDS_MAX)
        connection = await self._connection()
        with translating():
            async for _ in connection.notifies(timeout=max(0.0, seconds), stop_after=1):
                pass

    async def tidy(self) -> int:
        """Remove what ended long ago, and give up what nobody took. Returns how many rows.

        TIDY_ROWS_MAX of each at most: there may be more when that many were touched.
        """
        rows = await self._session.rows(
            "select creditd.tidy_messages(%s, %s, %s, %s)",
            (DELIVERED_KEPT_DAYS, DEAD_KEPT_DAYS, WAITING_DAYS_MAX, TIDY_ROWS_MAX),
        )
        return int(rows[0][0])

    async def _connection(self) -> AsyncConnection[TupleRow]:
        with translating():
            return await self._session.connection()


async def receiver_rows(database_url: str) -> list[ReceiverRow]:
    """Return every receiver the books know. Raises LedgerUnavailable, SchemaMismatch."""
    async with opened(database_url, "creditd_reader") as session:
        rows = await session.rows(
            "select r.name, r.topics, r.left_at is not null,"
            " count(*) filter (where m.state = 'waiting'),"
            " min(m.at) filter (where m.state = 'waiting'),"
            " count(*) filter (where m.state = 'dead'),"
            " (array_agg(m.said order by m.tried_at desc) filter (where m.said is not null))[1]"
            " from creditd.receiver r left join creditd.message m"
            " on m.receiver_id = r.receiver_id and m.state <> 'delivered'"
            " group by r.receiver_id order by r.name"
        )
    return [ReceiverRow(*row) for row in rows]


async def retry_dead(database_url: str, name: str) -> int:
    """Let the dead messages of a receiver be tried again. Returns how many there were.

    They come after what was delivered since. Raises LedgerUnavailable, SchemaMismatch.
    """
    async with opened(database_url, "creditd_operator") as session:
        rows = await session.rows("select creditd.retry_dead(%s)", (name,))
    return int(rows[0][0])


def _as_columns(outcome: Outcome) -> tuple[str, str | None, float]:
    match outcome:
        case Delivered():
            return "delivered", None, 0.0
        case Dead(said):
            return "dead", said, 0.0
        case Failed(said, wait_seconds):
            return "waiting", said, float(wait_seconds)
