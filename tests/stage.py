"""Accounts with lots of any kind, an app that may spend from them, and the same in a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from specification.accounts import ALWAYS, NEVER, Terms, moment
from specification.books import Books
from specification.granting import receive

from ledger.ids import AccountRef
from ledger.price_book import PriceRow, price_list_as_json

SECOND = 1_000_000  # times are microseconds since 1970
START = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp()) * SECOND

# Base and per unit, in micro-credits.
PRICES = {"free": (0, 0), "look": (3, 0), "unit": (0, 1), "draw": (2, 3)}

_BY_HAND: LiteralString = """
create schema by_hand;
create table by_hand.time (at timestamptz not null);
insert into by_hand.time values ('2040-01-01Z');

create function by_hand.give(
  p_root bigint, p_account bigint, p_amount bigint, p_effective timestamptz, p_expires timestamptz,
  p_priority integer, p_operations integer[]
) returns bigint
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  e entry;
  v_lot bigint;
  v_debt bigint;
begin
  a := expire_due(a);
  v_debt := a.debt;
  v_lot := a.seq + 1;
  e.kind := 1; e.amount := p_amount; e.total := p_amount; e.lot_no := v_lot;
  a := post(a, e);
  a := repay(a, v_lot, v_lot, p_amount, null);
  insert into lot (root_id, account_id, lot_no, source, amount, remaining, effective_at, expires_at,
                   priority, operations, created_at)
    values (p_root, p_account, v_lot, 'promotional', p_amount, p_amount - (v_debt - a.debt),
            p_effective, p_expires, p_priority, p_operations, a.last_at);
  a.valid_until := least(a.valid_until, p_expires,
                         case when p_effective > clock() then p_effective end);
  a.is_special := a.is_special or p_operations is not null;
  perform keep(a);
  return v_lot;
end $$;

create function by_hand.reverse(p_root bigint, p_account bigint, p_lot bigint) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
begin
  perform reverse_lot(p_root, p_account, p_lot);
end $$;

grant usage on schema by_hand to creditd_api;
"""

_PRETEND: LiteralString = """
create or replace function creditd.clock() returns timestamptz
language sql volatile begin atomic select at from by_hand.time; end;
"""

GIVE: LiteralString = (
    "select by_hand.give(%s::bigint, %s::bigint, %s::bigint, %s::timestamptz, %s::timestamptz,"
    " %s::integer, %s::integer[])"
)
REVERSE: LiteralString = "select by_hand.reverse(%s::bigint, %s::bigint, %s::bigint)"
PLAIN = Terms("promotional")


class Stage:
    """The owner's hand on a set of books, and on a model of them. Made by `Stage.on`."""

    def __init__(self, database_url: str, owner: psycopg.Connection) -> None:
        self.database_url = database_url
        self.owner = owner
        self.operations: dict[str, int] = {}
        self.app_id = 0
        self.now = START

    @classmethod
    @contextmanager
    def on(cls, database_url: str, *, pretended_time: bool = False) -> Iterator["Stage"]:
        with psycopg.connect(database_url, autocommit=True) as owner:
            stage = cls(database_url, owner)
            owner.execute(_BY_HAND)
            if pretended_time:
                owner.execute(_PRETEND)
            ((stage.app_id,),) = stage.rows(
                "insert into creditd.app (name) values ('shop') returning app_id"
            )
            prices = [PriceRow(name, *price, "unit") for name, price in PRICES.items()]
            stage.rows(
                "select creditd.apply_prices(%s::jsonb, false, false)", price_list_as_json(prices)
            )
            stage.operations = dict(stage.rows("select name, operation_id from creditd.operation"))
            yield stage

    def rows(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = self.owner.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def account(self, name: str, *amounts: int) -> AccountRef:
        """Open an account with a plain lot of each amount."""
        ((root_id, account_id, _),) = self.rows(
            "select * from creditd.open_account(%s, %s)", self.app_id, name
        )
        account = AccountRef(root_id, account_id)
        for amount in amounts:
            self.give(account, amount)
        return account

    def give(self, account: AccountRef, amount: int, terms: Terms = PLAIN) -> int:
        ((lot_no,),) = self.rows(GIVE, *self.lot_parameters(account, amount, terms))
        return int(lot_no)

    def lot_parameters(self, account: AccountRef, amount: int, terms: Terms) -> tuple[object, ...]:
        named = terms.operations
        return (
            *account,
            amount,
            "-infinity" if terms.effective_at == ALWAYS else moment(terms.effective_at),
            "infinity" if terms.expires_at == NEVER else moment(terms.expires_at),
            terms.priority,
            None if named is None else sorted(self.operations[name] for name in named),
        )

    def model_of(self, *accounts: AccountRef, amounts: tuple[int, ...] = ()) -> Books:
        """A model of books in which there are these accounts, each with plain lots."""
        books = Books()
        for operation, (base, per_unit) in PRICES.items():
            books.set_price(operation, base, per_unit, 0)
        for ref in accounts:
            account = books.open(ref, app=self.app_id)
            for amount in amounts:
                receive(books, account, amount, PLAIN, self.now)
        return books

    def wait(self, microseconds: int) -> None:
        """Let the pretended time go on."""
        self.now += microseconds
        at = moment(START) + timedelta(microseconds=self.now - START)
        self.rows("update by_hand.time set at = %s", at)

    def entries(self, account: AccountRef) -> list[tuple[Any, ...]]:
        """What the account's entries say but times, hashes and whose they are."""
        return self.rows(
            "select seq, kind::integer, amount, lot_no, movement, available_after, held_after,"
            " debt_after from creditd.entry where root_id = %s and account_id = %s order by seq",
            *account,
        )


def entries_of(books: Books, account: AccountRef) -> list[tuple[Any, ...]]:
    """The same of a model's account."""
    return [
        (
            *(entry.no, int(entry.kind), entry.amount, entry.lot, entry.movement),
            *(entry.available_after, entry.held_after, entry.debt_after),
        )
        for entry in books.accounts[account].entries
    ]
