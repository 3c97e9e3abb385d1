"""Books written by hand, at times that the test says, for what is about reading them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg

from ledger.ids import AccountRef

START = datetime(2030, 1, 1, tzinfo=UTC)
FOREVER = "infinity"

# The owner of the schema may set its clock, and post what the tests are not about.
SCRIPT: LiteralString = """
create table public.time_is (at timestamptz not null);
insert into public.time_is values ('2030-01-01');
create or replace function creditd.clock() returns timestamptz language plpgsql volatile as
  $$ begin return (select t.at from public.time_is t); end $$;
create function public.given(p_root bigint, p_account bigint, p_amount bigint,
  p_expires timestamptz) returns bigint language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_root, p_account);
  e entry;
  v_lot bigint;
  v_debt bigint;
begin
  a := expire_due(a);
  e.kind := 1; e.amount := p_amount; e.lot_no := a.seq + 1; e.total := p_amount;
  a := post(a, e);
  v_lot := a.seq; v_debt := a.debt;
  a := repay(a, v_lot, v_lot, p_amount, null);
  insert into lot (root_id, account_id, lot_no, source, reason, amount, remaining, expires_at,
                   created_at)
    values (p_root, p_account, v_lot, 'adjustment', 'by hand', p_amount,
            p_amount - (v_debt - a.debt), p_expires, a.last_at);
  a.valid_until := least(a.valid_until, p_expires);
  perform keep(a);
  return v_lot;
end $$;
create function public.moved(p_from bigint, p_to bigint, p_lot bigint, p_amount bigint)
returns void language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_from, p_from);
  b account := locked_account(p_to, p_to);
  e entry;
begin
  e.kind := 13; e.amount := p_amount; e.lot_no := p_lot;
  e.peer_root := p_to; e.peer_account := p_to;
  a := post(a, e);
  update lot set remaining = remaining - p_amount, moved = moved + p_amount
    where root_id = p_from and lot_no = p_lot;
  e := null; e.kind := 14; e.amount := p_amount; e.lot_no := b.seq + 1;
  e.peer_root := p_from; e.peer_account := p_from;
  b := post(b, e);
  insert into lot (root_id, account_id, lot_no, source, amount, remaining, created_at, origin_root,
                   origin_account, origin_lot)
    values (p_to, p_to, b.seq, 'adjustment', p_amount, p_amount, b.last_at, p_from, p_from, p_lot);
  perform keep(a);
  perform keep(b);
end $$;
create function public.reserved(p_account bigint, p_amount bigint, p_settled bigint)
returns void language plpgsql set search_path = creditd, pg_temp as $$
declare
  a account := locked_account(p_account, p_account);
  e entry;
  v_no bigint := a.seq + 1;
  v_lot bigint;
begin
  e.kind := 8; e.total := p_amount; e.app_id := 1;
  e.key_hash := gen_random_uuid(); e.request_hash := gen_random_uuid();
  a := burn(a, e, p_amount, null);
  v_lot := (select x.lot_no from entry x where x.root_id = p_account and x.seq = v_no);
  e := null; e.kind := 9; e.amount := p_settled; e.lot_no := v_lot; e.refers_to := v_no;
  a := post(a, e);
  e := null; e.kind := 10; e.amount := p_amount - p_settled; e.lot_no := v_lot; e.refers_to := v_no;
  e.movement := a.seq;
  a := post(a, e);
  update lot set held = held - p_amount, remaining = remaining + p_amount - p_settled
    where root_id = p_account and lot_no = v_lot;
  perform keep(a);
end $$;
"""


@dataclass
class Bookkeeper:
    connection: psycopg.Connection
    now: datetime = START
    app_id: int = 0
    _keys: int = field(default=0)

    @classmethod
    @contextmanager
    def at_work(cls, database_url: str) -> Iterator["Bookkeeper"]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(SCRIPT)
            row = connection.execute(
                "insert into creditd.app (name) values ('shop') returning app_id"
            ).fetchone()
            assert row is not None
            yield cls(connection, app_id=row[0])

    def one(self, statement: LiteralString, *parameters: object) -> Any:  # noqa: ANN401
        row = self.connection.execute(statement, parameters).fetchone()
        assert row is not None
        return row[0]

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.connection.execute("update public.time_is set at = %s", (self.now,))

    def open(self, name: str = "alice") -> AccountRef:
        root_id = self.one("select root from creditd.open_account(%s, %s)", self.app_id, name)
        return AccountRef(root_id, root_id)

    def grant(self, account: AccountRef, amount: int, *, lives: float | None = None) -> int:
        expires: object = FOREVER if lives is None else self.now + timedelta(seconds=lives)
        return int(self.one("select public.given(%s, %s, %s, %s)", *account, amount, expires))

    def charge(self, account: AccountRef, cost: int) -> int | None:
        """Returns the charge's number, None if the balance does not cover it."""
        self._keys += 1
        seq = self.one(
            "select (creditd.charge_with_care(%s, %s, %s, %s::text::uuid, %s::text::uuid, %s,"
            " 1, 1, 1, null, null)).seq",
            *account,
            self.app_id,
            f"{self._keys:032x}",
            f"{self._keys:032x}",
            cost,
        )
        return None if seq is None else int(seq)

    def charge_in_passing(self, account: AccountRef, cost: int) -> int:
        """Charge as the hot path does, by API key 7: the row of the lot burned stays behind."""
        self._keys += 1
        key = f"{self._keys:032x}"
        return int(
            self.one(
                "select (creditd.charge_at_once(%s, %s, %s, %s::text::uuid, %s::text::uuid, %s,"
                " 1, 1, 1, 7)).seq",
                *account,
                self.app_id,
                key,
                key,
                cost,
            )
        )

    def refund(self, account: AccountRef, charge: int, amount: int | None) -> str:
        self._keys += 1
        key = f"{self._keys:032x}"
        return str(
            self.one(
                "select (creditd.refund(%s, %s, %s, %s, %s::text::uuid, %s::text::uuid,"
                " %s, 'lapse')).outcome",
                *account,
                charge,
                self.app_id,
                key,
                key,
                amount,
            )
        )

    def reverse(self, account: AccountRef, lot: int) -> None:
        self.one("select creditd.reverse_lot(%s, %s, %s)", *account, lot)

    def expire_idle(self) -> int:
        return int(self.one("select creditd.expire_idle(100)"))

    def truth(self, account: AccountRef) -> tuple[int, int, int]:
        """What the account has at this moment: its row, less each lot that is past its end."""
        row = self.connection.execute(
            "select a.available - coalesce((select sum(case l.lot_no when a.head_lot"
            " then a.head_left else l.remaining end) from creditd.lot l"
            " where (l.root_id, l.account_id) = (a.root_id, a.account_id)"
            " and l.expires_at <= creditd.clock()), 0)::bigint,"
            " a.held, a.debt from creditd.account a where a.root_id = %s and a.account_id = %s",
            account,
        ).fetchone()
        assert row is not None
        return (int(row[0]), int(row[1]), int(row[2]))
