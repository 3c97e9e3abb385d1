"""An app with everything it may write of accounts, and the owner's hands for what others write."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from conftest import ASKED, CHAIN_ID, run
from conservation import adds_up

from ledger.audit import audit, render
from ledger.ids import AccountRef
from ledger.linking import Linking
from ledger.operating import Operating
from ledger.operator_acts import OperatorActs, Signature
from ledger.outcomes import (
    AccountClosed,
    AccountOpened,
    Charged,
    ChargeOutcome,
    Linked,
    LinkOutcome,
    NoSuchAccount,
    Refunded,
    StatusSet,
)
from ledger.price_book import PriceRow
from ledger.sharing import Sharing
from ledger.spending import Spending

ALICE, BOB, CAROL = (bytes([0xA0 + n]) * 20 for n in range(3))

_GRANT: LiteralString = """
do $$
declare
  a creditd.account := creditd.locked_account({root}, {account});
  e creditd.entry;
begin
  a := creditd.expire_due(a);
  e.kind := 1; e.amount := {amount}; e.lot_no := a.seq + 1; e.total := {amount};
  e.key_hash := gen_random_uuid(); e.request_hash := e.key_hash;
  a := creditd.post(a, e);
  e.lot_no := a.seq;
  insert into creditd.lot (root_id, account_id, lot_no, source, amount, remaining, priority,
                           effective_at, expires_at, operations, created_at)
    values ({root}, {account}, a.seq, {source}, {amount}, {amount}, {priority},
            {effective_at}, {expires_at}, {operations}, a.last_at);
  a.valid_until := least(a.valid_until, {expires_at}::timestamptz,
                         nullif({effective_at}, '-infinity')::timestamptz);
  a.is_special := a.is_special or {operations}::integer[] is not null;
  a := creditd.repay_from_lots(a, e.lot_no, null);
  a := creditd.refill_line(a, e.lot_no, e.lot_no);
  perform creditd.keep(a);
end $$
"""


@dataclass(frozen=True)
class Town:
    database_url: str
    app_id: int
    spending: Spending
    linking: Linking
    sharing: Sharing
    operating: Operating
    acts: OperatorActs
    planted: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Town"]:
        """Sessions of one app. At the end the books add up, and stand an audit if nothing that no
        function writes was planted."""
        async with AsyncExitStack() as stack:
            operating = await stack.enter_async_context(Operating.open(database_url))
            await operating.create_app_key(
                app="shop", scopes=["charge:write"], digest=bytes(32), hint=""
            )
            await operating.apply_prices(
                [PriceRow("unit", 0, 1, "unit"), PriceRow("other", 0, 1, "unit")]
            )
            # For stories that are told of earlier days.
            run(database_url, "update creditd.price set effective_at = '2000-01-01'")
            town = cls(
                database_url,
                1,
                await stack.enter_async_context(Spending.open(database_url)),
                await stack.enter_async_context(Linking.open(database_url)),
                await stack.enter_async_context(Sharing.open(database_url)),
                operating,
                await stack.enter_async_context(OperatorActs.open(database_url)),
            )
            yield town
        adds_up(database_url)
        report = await audit(database_url)
        assert report.balanced or town.planted, render(report)

    async def user(self, name: str = "user") -> AccountRef:
        return (await self.spending.open_account(app_id=self.app_id, name=name)).account

    async def wallet(self, address: bytes, chain_id: int = CHAIN_ID) -> AccountRef:
        """The wallet's own account, opened to the app."""
        opened = await self.spending.open_wallet_account(
            app_id=self.app_id, chain_id=chain_id, address=address
        )
        return opened.account

    async def organisation(self, name: str = "works") -> AccountRef:
        opened = await self.sharing.open_organisation(app_id=self.app_id, name=name)
        assert isinstance(opened, AccountOpened)
        return opened.account

    async def member(self, organisation: AccountRef, name: str = "anna") -> AccountRef:
        opened = await self.sharing.add_member(
            app_id=self.app_id, organisation=organisation, name=name
        )
        assert isinstance(opened, AccountOpened)
        return opened.account

    async def charge(
        self, account: AccountRef, units: int, key: str, *, operation: str = "unit"
    ) -> ChargeOutcome:
        return await self.spending.charge(
            app_id=self.app_id, account=account, key=key, operation=operation, units=units
        )

    async def sell(self, account: AccountRef, units: int, key: str) -> Charged:
        outcome = await self.charge(account, units, key)
        assert isinstance(outcome, Charged), outcome
        return outcome

    async def link(
        self, address: bytes, account: AccountRef, chain_id: int | None = CHAIN_ID
    ) -> LinkOutcome:
        return await self.acts.link(account, chain_id=chain_id, address=address, signed=ASKED)

    async def freeze(
        self, account: AccountRef, signed: Signature = ASKED
    ) -> StatusSet | NoSuchAccount | AccountClosed:
        return await self.acts.set_frozen(account, frozen=True, signed=signed)

    async def unfreeze(
        self, account: AccountRef, signed: Signature = ASKED
    ) -> StatusSet | NoSuchAccount | AccountClosed:
        return await self.acts.set_frozen(account, frozen=False, signed=signed)

    async def linked(
        self, address: bytes, account: AccountRef, chain_id: int | None = CHAIN_ID
    ) -> Linked:
        outcome = await self.link(address, account, chain_id)
        assert isinstance(outcome, Linked), outcome
        return outcome

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the owner reads or does in one transaction."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def grant(
        self,
        account: AccountRef,
        amount: int,
        *,
        source: str = "promotional",
        priority: int = 100,
        effective_at: str = "-infinity",
        expires_at: str = "infinity",
        operations: list[str] | None = None,
    ) -> None:
        """Grant credits behind the front door, with any terms."""
        numbers = (
            "null"
            if operations is None
            else (
                "(select array_agg(operation_id) from creditd.operation where name in"
                f" ({', '.join(repr(name) for name in operations)}))"
            )
        )
        self.rows(
            _GRANT.format(
                root=account.root_id,
                account=account.account_id,
                amount=amount,
                source=repr(source),
                priority=priority,
                effective_at=repr(effective_at),
                expires_at=repr(expires_at),
                operations=numbers,
            )
        )

    def owe(self, account: AccountRef, amount: int, *, status: str | None = None) -> None:
        """Let an account owe for what it spent of its first lot, as a reversal does."""
        self.planted.append("a debt")
        status_or_same = "a.status" if status is None else repr(status)
        self.rows(
            f"""do $$
            declare
              a creditd.account;
              e creditd.entry;
            begin
              perform creditd.lock_with_links(
                array[{account.root_id}], array[{account.account_id}]);
              a := creditd.locked_account({account.root_id}, {account.account_id});
              e.kind := 5; e.amount := {amount}; e.lot_no := 1;
              a := creditd.post(a, e);
              a.status := {status_or_same};
              a := creditd.repay_from_lots(a, a.seq, null);
              a := creditd.forward(a, a.seq);
              perform creditd.keep(a);
            end $$"""
        )

    async def give_back(self, charged: Charged, amount: int, key: str = "r") -> Refunded:
        outcome = await self.spending.refund(
            app_id=self.app_id, charge=charged.charge.movement, key=key, amount=amount
        )
        assert isinstance(outcome, Refunded), outcome
        return outcome

    def has(self, account: AccountRef) -> tuple[int, int]:
        """What the account has and owes."""
        ((available, debt),) = self.rows(
            "select available, debt from creditd.account where root_id = %s and account_id = %s",
            *account,
        )
        return available, debt

    def status(self, account: AccountRef) -> str:
        ((status,),) = self.rows(
            "select status from creditd.account where root_id = %s and account_id = %s", *account
        )
        return str(status)

    def kinds(self, account: AccountRef) -> list[tuple[str, int]]:
        """Name and amount of each of the account's entries."""
        return [
            (name, amount)
            for name, amount in self.rows(
                "select k.name, e.amount from creditd.entry e"
                " join creditd.entry_kind k using (kind)"
                " where e.root_id = %s and e.account_id = %s order by e.seq",
                *account,
            )
        ]
