"""A shop that holds credits for work to come, on books whose clock the test sets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from town import Town

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    Charged,
    Ending,
    Refund,
    Refunded,
    RefundOutcome,
    Released,
    Reservation,
    Reserved,
    ReserveOutcome,
    Settled,
    SettleOutcome,
)
from ledger.reserving import Reserving
from ledger.spending import IfOver, Spending

START = datetime(2040, 3, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class ReservingShop:
    town: Town
    reserving: Reserving
    now: datetime = START
    _keys: "count[int]" = field(default_factory=count)

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["ReservingShop"]:
        """An app with prices of one micro-credit a unit; at the end the books add up."""
        async with Town.open(database_url) as town, Reserving.open(database_url) as reserving:
            town.rows("create schema shop_test")
            town.rows("create table shop_test.clock (at timestamptz not null)")
            town.rows("insert into shop_test.clock values (%s)", START)
            town.rows(
                "create or replace function creditd.clock() returns timestamptz"
                " language sql volatile return (select c.at from shop_test.clock c)"
            )
            yield cls(town, reserving)
            # The books are audited as they are run.
            town.rows(
                "create or replace function creditd.clock() returns timestamptz"
                " language sql volatile return clock_timestamp()"
            )
            town.rows("drop schema shop_test cascade")
            held_is_what_is_open(town)

    @property
    def app_id(self) -> int:
        return self.town.app_id

    @property
    def spending(self) -> Spending:
        return self.town.spending

    def key(self) -> str:
        return f"key {next(self._keys)}"

    def wait(self, time: timedelta) -> None:
        self.now += time
        self.town.rows("update shop_test.clock set at = %s", self.now)

    async def user(self, *amounts: int) -> AccountRef:
        """An account with a lot of each amount."""
        account = await self.town.user(self.key())
        for amount in amounts:
            self.town.grant(account, amount)
        return account

    def lasting(self, account: AccountRef, amount: int, lasts: timedelta) -> None:
        self.town.grant(account, amount, expires_at=(self.now + lasts).isoformat())

    async def reserve(
        self,
        account: AccountRef,
        units: int,
        *,
        key: str | None = None,
        operation: str = "unit",
        lasts: timedelta = HOUR,
        minimum: int = 0,
        over_max: int = 0,
        version: int | None = None,
        app_id: int | None = None,
    ) -> ReserveOutcome:
        return await self.reserving.reserve(
            app_id=app_id or self.app_id,
            account=account,
            key=key or self.key(),
            operation=operation,
            units=units,
            expires_in=lasts,
            minimum=minimum,
            over_max=over_max,
            price_version=version,
        )

    async def hold(
        self,
        account: AccountRef,
        units: int,
        *,
        lasts: timedelta = HOUR,
        minimum: int = 0,
        over_max: int = 0,
        operation: str = "unit",
    ) -> MovementRef:
        return (
            await self.held(
                account,
                units,
                lasts=lasts,
                minimum=minimum,
                over_max=over_max,
                operation=operation,
            )
        ).movement

    async def held(
        self,
        account: AccountRef,
        units: int,
        *,
        lasts: timedelta = HOUR,
        minimum: int = 0,
        over_max: int = 0,
        operation: str = "unit",
    ) -> Reservation:
        outcome = await self.reserve(
            account,
            units,
            lasts=lasts,
            minimum=minimum,
            over_max=over_max,
            operation=operation,
        )
        assert isinstance(outcome, Reserved), outcome
        assert not outcome.replayed
        return outcome.reservation

    async def settle(
        self, reservation: MovementRef, amount: int, key: str | None = None
    ) -> SettleOutcome:
        return await self.reserving.settle(
            app_id=self.app_id, reservation=reservation, key=key or self.key(), amount=amount
        )

    async def settled(self, reservation: MovementRef, amount: int) -> Ending:
        outcome = await self.settle(reservation, amount)
        assert isinstance(outcome, Settled), outcome
        assert not outcome.replayed
        return outcome.ending

    async def released(self, reservation: MovementRef) -> Ending:
        outcome = await self.reserving.release(
            app_id=self.app_id, reservation=reservation, key=self.key()
        )
        assert isinstance(outcome, Released), outcome
        assert not outcome.replayed
        return outcome.ending

    async def sold(self, account: AccountRef, units: int) -> MovementRef:
        outcome = await self.town.charge(account, units, self.key())
        assert isinstance(outcome, Charged), outcome
        return outcome.charge.movement

    async def refund(
        self,
        charge: MovementRef,
        amount: int | None = None,
        key: str | None = None,
        if_over: IfOver = "lapse",
    ) -> RefundOutcome:
        return await self.spending.refund(
            app_id=self.app_id,
            charge=charge,
            key=key or self.key(),
            amount=amount,
            if_over=if_over,
        )

    async def refunded(
        self, charge: MovementRef, amount: int | None = None, if_over: IfOver = "lapse"
    ) -> Refund:
        outcome = await self.refund(charge, amount, if_over=if_over)
        assert isinstance(outcome, Refunded), outcome
        return outcome.refund

    def tidy(self, limit: int = 100) -> int:
        """What the job does that ends reservations."""
        ((ended,),) = self.town.rows("select creditd.expire_reservations(%s)", limit)
        return int(ended)

    def reverse(self, account: AccountRef, lot: int = 1, policy: str | None = None) -> None:
        """Let the chain leave what a lot was granted for."""
        if policy is not None:
            self.town.rows(
                "with r as (insert into creditd.rule (name, chain_id, contract, event, from_block,"
                " on_reversal) values (%s, 1, '', '', 0, %s) returning rule_id)"
                " update creditd.lot l set rule_id = r.rule_id from r"
                " where l.root_id = %s and l.account_id = %s and l.lot_no = %s",
                *(policy, policy, *account, lot),
            )
        self.town.planted.append("a reversal without an event")
        self.town.rows("select creditd.reverse_lot(%s, %s, %s)", *account, lot)

    def has(self, account: AccountRef) -> tuple[int, int, int]:
        """What is available, held and owed."""
        ((available, held, debt),) = self.town.rows(
            "select available, held, debt from creditd.account"
            " where root_id = %s and account_id = %s",
            *account,
        )
        return available, held, debt

    def lots(self, account: AccountRef) -> dict[int, int]:
        """What is left of each lot, by its number."""
        return dict(
            self.town.rows(
                "select l.lot_no, case when l.lot_no = a.head_lot then a.head_left"
                " else l.remaining end from creditd.lot l"
                " join creditd.account a using (root_id, account_id)"
                " where l.root_id = %s and l.account_id = %s order by l.lot_no",
                *account,
            )
        )

    def story(self, account: AccountRef, since: int = 0) -> list[tuple[str, int, int | None]]:
        """Kind, amount and lot of each entry after one."""
        return [
            (name, amount, lot)
            for name, amount, lot in self.town.rows(
                "select k.name, e.amount, e.lot_no from creditd.entry e"
                " join creditd.entry_kind k using (kind)"
                " where e.root_id = %s and e.account_id = %s and e.seq > %s order by e.seq",
                *(*account, since),
            )
        ]


def held_is_what_is_open(town: Town) -> None:
    """Fail unless what accounts hold is that of open reservations, and lots account for all."""
    apart = town.rows(
        "select a.account_id, a.held, coalesce(sum(r.amount), 0) from creditd.account a"
        " left join creditd.reservation r on (r.root_id, r.account_id, r.state)"
        " = (a.root_id, a.account_id, 'open')"
        " group by a.root_id, a.account_id having a.held <> coalesce(sum(r.amount), 0)"
    )
    assert not apart
    # What was used of a lot is what its entries took for good.
    amiss = town.rows(
        "select l.account_id, l.lot_no, l.amount, u.used from creditd.lot l"
        " join creditd.account a using (root_id, account_id) cross join lateral ("
        " select coalesce(sum(case when e.kind in (2, 6, 9, 12, 18) then e.amount"
        " when e.kind = 3 then -e.amount end), 0) as used from creditd.entry e"
        " where (e.root_id, e.account_id, e.lot_no) = (l.root_id, l.account_id, l.lot_no)"
        # The lot of a refund begins with it.
        " and not (e.kind = 3 and e.seq = l.lot_no)) u"
        " where l.source <> 'overdraft' and l.amount <> u.used + l.held + l.expired + l.reversed"
        " + l.moved + case when l.lot_no = a.head_lot then a.head_left else l.remaining end"
    )
    assert not amiss


def play(database_url: str, story: Callable[[ReservingShop], Awaitable[None]]) -> None:
    """Let a story happen in a shop of its own."""

    async def main() -> None:
        async with ReservingShop.open(database_url) as shop:
            await story(shop)

    asyncio.run(main())
