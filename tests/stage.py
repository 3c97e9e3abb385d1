"""Accounts with lots of any kind, an app that may spend from them, and a clock that can be set."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg

from ledger.ids import AccountRef

START = datetime(2030, 1, 1, tzinfo=UTC)
FOREVER = timedelta(days=1_000_000)

# Base and per unit, in micro-credits.
PRICES = {"free": (0, 0), "look": (3, 0), "unit": (0, 1), "draw": (2, 3)}

_BY_HAND: LiteralString = """
create schema by_hand;
create table by_hand.time (at timestamptz not null);

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
                         case when p_effective > a.last_at then p_effective end);
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
insert into by_hand.time values ('2030-01-01Z');
create or replace function creditd.clock() returns timestamptz
language sql volatile begin atomic select at from by_hand.time; end;
"""


@dataclass(frozen=True)
class LotSpec:
    """A lot to be: times from the stage's start, None is no bound."""

    amount: int
    priority: int = 100
    effective: timedelta | None = None
    expires: timedelta | None = None
    operations: tuple[str, ...] | None = None

    @property
    def effective_at(self) -> datetime:
        return datetime.min.replace(tzinfo=UTC) if self.effective is None else START + self.effective

    @property
    def expires_at(self) -> datetime:
        return datetime.max.replace(tzinfo=UTC) if self.expires is None else START + self.expires


class Stage:
    """The owner's hand on a set of books. Made by `Stage.on`."""

    def __init__(self, database_url: str, owner: psycopg.Connection) -> None:
        self.database_url = database_url
        self.owner = owner
        self.operations: dict[str, int] = {}
        self.app_id = 0

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
            names, prices = list(PRICES), list(PRICES.values())
            stage.rows(
                "select creditd.apply_prices(%s::text[], %s::bigint[], %s::bigint[], %s::text[])",
                names,
                [base for base, _ in prices],
                [per_unit for _, per_unit in prices],
                ["unit"] * len(names),
            )
            stage.operations = dict(stage.rows("select name, operation_id from creditd.operation"))
            yield stage

    def rows(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = self.owner.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def account(self, name: str, *lots: LotSpec) -> AccountRef:
        ((root_id, account_id, _),) = self.rows(
            "select * from creditd.open_account(%s, %s)", self.app_id, name
        )
        account = AccountRef(root_id, account_id)
        for lot in lots:
            self.give(account, lot)
        return account

    def give(self, account: AccountRef, lot: LotSpec) -> int:
        ((lot_no,),) = self.rows(GIVE, *self.lot_parameters(account, lot))
        return int(lot_no)

    def lot_parameters(self, account: AccountRef, lot: LotSpec) -> tuple[object, ...]:
        return (
            *account,
            lot.amount,
            "-infinity" if lot.effective is None else lot.effective_at,
            "infinity" if lot.expires is None else lot.expires_at,
            lot.priority,
            None if lot.operations is None else [self.operations[name] for name in lot.operations],
        )

    def reverse(self, account: AccountRef, lot_no: int) -> None:
        self.rows("select by_hand.reverse(%s, %s, %s)", *account, lot_no)

    def set_time(self, at: datetime) -> None:
        self.rows("update by_hand.time set at = %s", at)

    def entries(self, account: AccountRef) -> list[tuple[Any, ...]]:
        """What the account's entries say but times, hashes and whose they are."""
        return self.rows(
            "select seq, kind, amount, available_after, debt_after, lot_no, movement, total,"
            " refers_to from creditd.entry where root_id = %s and account_id = %s order by seq",
            *account,
        )


GIVE: LiteralString = (
    "select by_hand.give(%s::bigint, %s::bigint, %s::bigint, %s::timestamptz, %s::timestamptz,"
    " %s::integer, %s::integer[])"
)
