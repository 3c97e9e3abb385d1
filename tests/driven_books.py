"""The real books, driven by a clock of the tests' own, and read as a specification of them is."""

import asyncio
import hashlib
import os
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any, Final, LiteralString, NamedTuple, TypeVar

import psycopg
from conftest import GENESIS
from specification.accounts import (
    ALWAYS,
    NEVER,
    Account,
    Balance,
    Entry,
    Kind,
    Terms,
    moment,
)

from ledger.exposure import Exposure
from ledger.granting import Granting
from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.operator_acts import OperatorActs
from ledger.price_book import PriceRow
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.spending import Spending
from ledger.watching import ChainEntry, RuleEntry, SeenBlock, SeenEvent, Watching

Answered = TypeVar("Answered")
CHAIN: Final = 4_242
REMEMBER: Final = 1_000  # more blocks than any story has
IDLE_MAX: Final = 10_000  # more accounts than all stories have

# The parts of the books that are driven: each can be left out, to look at the others alone.
DRIVEN: Final = frozenset(
    os.environ.get(
        "CREDITD_DRIVEN", "links members overdrafts freezing gifts reservations past exposure"
    ).split()
)
# Only the owner of the books can do that.
_CLOCK: Final[tuple[LiteralString, ...]] = (
    "create schema creditd_test",
    "create table creditd_test.clock (at timestamptz not null)",
    "insert into creditd_test.clock values (clock_timestamp())",
    """create or replace function creditd.clock() returns timestamptz language sql volatile
    return (select c.at from creditd_test.clock c)""",
    # Accounts come in the order of their numbers, so that a story is the same when told again.
    "create sequence creditd_test.account",
    """create or replace function creditd.new_id() returns bigint language sql volatile
    return nextval('creditd_test.account')""",
)
_BALANCE: Final[LiteralString] = (
    "select available, held, debt, status from creditd.account"
    " where root_id = %s and account_id = %s"
)
_LOTS: Final[LiteralString] = """
    select l.lot_no, case when l.lot_no = a.head_lot then a.head_left else l.remaining end, l.held,
      l.source, l.priority,
      case when isfinite(l.effective_at)
        then (extract(epoch from l.effective_at) * 1000000)::bigint end,
      case when isfinite(l.expires_at)
        then (extract(epoch from l.expires_at) * 1000000)::bigint end,
      (select array_agg(o.name) from creditd.operation o where o.operation_id = any (l.operations))
    from creditd.lot l join creditd.account a using (root_id, account_id)
    where l.root_id = %s and l.account_id = %s order by l.lot_no"""
_ENTRIES: Final[LiteralString] = """
    select seq, kind, amount, lot_no, movement, available_after, held_after, debt_after,
      (extract(epoch from at) * 1000000)::bigint
    from creditd.entry where root_id = %s and account_id = %s and seq > %s order by seq"""

_AS_OF: Final[LiteralString] = (
    "select o_available, o_held, o_debt from creditd.balance_as_of(%s, %s, %s)"
)
_EXPOSURE: Final[LiteralString] = (
    "select root_id, account_id, taken_back, owed, absorbed, reserved from creditd.exposure(%s, %s)"
)


@dataclass(frozen=True)
class SeenLot:
    no: int
    remaining: int
    held: int
    terms: Terms


@dataclass(frozen=True)
class SeenAccount:
    """An account as far as both sides know it; `entries` are those after some number."""

    available: int
    held: int
    debt: int
    status: str
    lots: list[SeenLot]
    entries: list[Entry]


def agree(got: object, expected: object) -> None:
    """Say what both said where they differ: nobody else tells it outside of a test's own file."""
    if got == expected:
        return
    if isinstance(got, SeenAccount) and isinstance(expected, SeenAccount):
        names = [field.name for field in fields(SeenAccount)]
        differ = [name for name in names if getattr(got, name) != getattr(expected, name)]
        got, expected = ({name: getattr(side, name) for name in differ} for side in (got, expected))
    raise AssertionError(f"\n     books: {got}\n expected: {expected}")


def as_specified(account: Account, after: int) -> SeenAccount:
    """What the specification says of an account."""
    return SeenAccount(
        available=account.available,
        held=account.held,
        debt=account.debt,
        status=account.status,
        lots=[SeenLot(lot.no, lot.remaining, lot.held, lot.terms) for lot in account.lots.values()],
        entries=account.entries[after:],
    )


@dataclass(frozen=True)
class NewBlock:
    """A block to come, with its events as (transaction, place, rule, wallet, credits)."""

    at: int
    events: Sequence[tuple[bytes, int, str, bytes, int]]


class Sides(NamedTuple):
    """The ways into the books."""

    spending: Spending
    watching: Watching
    operating: Operating
    acts: OperatorActs
    sharing: Sharing
    reserving: Reserving
    granting: Granting


class DrivenBooks:
    def __init__(self, connection: psycopg.Connection, runner: asyncio.Runner, by: Sides) -> None:
        self.by = by
        self._runner = runner
        self._connection = connection
        self._stories = 0
        self._blocks = 0
        self._rules: dict[str, int] = {}

    @classmethod
    @contextmanager
    def open(cls, database_url: str) -> Iterator["DrivenBooks"]:
        chain = ChainEntry(CHAIN, "driven", GENESIS, 1, 0, GENESIS, 0)
        with (
            psycopg.connect(database_url, autocommit=True) as connection,
            asyncio.Runner() as runner,
        ):
            for statement in _CLOCK:
                connection.execute(statement)
            stack = AsyncExitStack()

            async def enter() -> Sides:
                return Sides(
                    await stack.enter_async_context(Spending.open(database_url, lanes=1)),
                    await stack.enter_async_context(Watching.lead(database_url, chain, "test")),
                    await stack.enter_async_context(Operating.open(database_url)),
                    await stack.enter_async_context(OperatorActs.open(database_url)),
                    await stack.enter_async_context(Sharing.open(database_url)),
                    await stack.enter_async_context(Reserving.open(database_url, sessions=1)),
                    await stack.enter_async_context(Granting.open(database_url)),
                )

            try:
                yield cls(connection, runner, runner.run(enter()))
            finally:
                runner.run(stack.aclose())

    def run(self, asked: Coroutine[object, object, Answered]) -> Answered:
        """Wait for an answer of the books."""
        return self._runner.run(asked)

    def rows(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def next_story(self) -> int:
        """Number a story: nothing of an earlier one may matter to it."""
        self._stories += 1
        return self._stories

    def set_clock(self, at: int) -> None:
        self._connection.execute("update creditd_test.clock set at = %s", (moment(at),))

    def new_app(self, name: str) -> int:
        digest = hashlib.sha256(name.encode()).digest()
        self.run(
            self.by.operating.create_app_key(app=name, scopes=["spend"], digest=digest, hint="…")
        )
        ((app,),) = self.rows("select app_id from creditd.app where name = %s", name)
        return int(app)

    def set_price(self, operation: str, base: int, per_unit: int) -> int:
        changes = self.run(
            self.by.operating.apply_prices([PriceRow(operation, base, per_unit, "unit")])
        )
        (version,) = (change.version for change in changes if change.operation == operation)
        assert version is not None
        return version

    def enter_rules(self, rules: Sequence[RuleEntry]) -> None:
        self._rules = self.run(self.by.watching.enter_rules(rules))

    def next_block(self) -> int:
        return self.run(self.by.watching.position()).indexed_number + 1

    def append(self, block: NewBlock) -> int:
        """Append a block, confirm it, and return its number."""
        position = self.run(self.by.watching.position())
        self._blocks += 1
        number = position.indexed_number + 1
        block_hash = hashlib.sha256(b"block %d" % self._blocks).digest()
        seen = SeenBlock(number, block_hash, position.indexed_hash, block.at // 1_000_000)
        events = [
            SeenEvent(
                block_number=number,
                tx_hash=tx_hash,
                ordinal=0,
                role=0,
                log_index=place,
                rule_id=self._rules[rule],
                wallet=wallet,
                amount=credits_micro,
                credits=credits_micro,
            )
            for tx_hash, place, rule, wallet, credits_micro in block.events
        ]
        self.run(
            self.by.watching.append(
                head_number=number,
                blocks=[seen],
                events=events,
                set_aside=[],
                confirm=(number, block_hash),
                remember=REMEMBER,
            )
        )
        return number

    def balance_as_of(self, account: AccountRef, at: int) -> Balance:
        ((available, held, debt),) = self.rows(_AS_OF, *account, moment(at))
        return Balance(available, held, debt)

    def exposure(self, block: int) -> dict[AccountRef, Exposure]:
        return {
            AccountRef(root, account): Exposure(*amounts)
            for root, account, *amounts in self.rows(_EXPOSURE, CHAIN, block)
        }

    def expire_idle(self) -> None:
        self.run(self.by.watching.expire_idle(IDLE_MAX))

    def expire_reservations(self) -> None:
        self.run(self.by.watching.expire_reservations(IDLE_MAX))

    def granted(self, tx_hash: bytes) -> int:
        ((granted,),) = self.rows(
            "select granted from creditd.event where chain_id = %s and tx_hash = %s", CHAIN, tx_hash
        )
        return int(granted)

    def see(self, ref: AccountRef, after: int) -> SeenAccount:
        ((available, held, debt, status),) = self.rows(_BALANCE, *ref)
        return SeenAccount(
            available=available,
            held=held,
            debt=debt,
            status=status,
            lots=[_lot(row) for row in self.rows(_LOTS, *ref)],
            entries=[
                Entry(no, Kind(kind), *rest) for no, kind, *rest in self.rows(_ENTRIES, *ref, after)
            ],
        )


def _lot(row: tuple[Any, ...]) -> SeenLot:
    no, remaining, held, source, priority, effective_at, expires_at, operations = row
    terms = Terms(
        source=source,
        priority=priority,
        effective_at=ALWAYS if effective_at is None else effective_at,
        expires_at=NEVER if expires_at is None else expires_at,
        operations=None if operations is None else frozenset(operations),
    )
    return SeenLot(no, remaining, held, terms)
