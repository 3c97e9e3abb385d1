"""What the books say, for those who ask: balances, entries, earnings, prices, API keys, chains.

Every answer is one statement, so all of it is of one moment. Nothing here writes.
"""

from datetime import datetime

from ledger import api_key_questions, price_questions, questions, sharing_questions
from ledger.account_reading import AccountReading
from ledger.alarms import Alarm
from ledger.api_key_rows import ApiKeyRecord, ApiKeyRow, CapUse
from ledger.asking import PAGE_MAX, SESSIONS_MAX, bounded, of_account, page
from ledger.ids import AccountRef
from ledger.price_book import BookPrice
from ledger.rows import (
    Balance,
    BudgetRow,
    ChainRow,
    ChargeRow,
    EarningCursor,
    EarningRow,
    EarningState,
    EntryRow,
    GrantOrigin,
    LinkRow,
    MemberRow,
    PastBalance,
    PendingPart,
    ReservationRow,
    StatusChangeRow,
    UsageBy,
    UsageRow,
    WalletRow,
)

__all__ = [
    "PAGE_MAX",
    "SESSIONS_MAX",
    "Alarm",
    "ApiKeyRecord",
    "ApiKeyRow",
    "Balance",
    "BudgetRow",
    "CapUse",
    "ChainRow",
    "ChargeRow",
    "EarningCursor",
    "EarningRow",
    "EarningState",
    "EntryRow",
    "GrantOrigin",
    "LinkRow",
    "MemberRow",
    "PastBalance",
    "PendingPart",
    "Reading",
    "ReservationRow",
    "StatusChangeRow",
    "UsageBy",
    "UsageRow",
    "WalletRow",
]


class Reading(AccountReading):
    """Reads the books, on a few sessions of its own. Use `open`.

    Every method raises LedgerUnavailable if the database does not answer, LedgerBusy if no session
    comes free in time and SchemaMismatch if the database holds no books or another version's.
    """

    async def members(
        self, organisation: AccountRef, *, after: AccountRef | None, limit: int
    ) -> list[MemberRow]:
        """Return at most `limit` (up to PAGE_MAX) memberships after one, those that ended too.

        In no order but an unchanging one; none for an account that is no organisation's.
        """
        first = 0 if after is None else after.account_id
        asked = {"root": organisation.root_id, "after": first, "limit": bounded(limit)}
        return [MemberRow.of(row) for row in await self.ask(sharing_questions.NEXT_MEMBERS, asked)]

    async def budgets(self, member: AccountRef) -> list[BudgetRow]:
        """Return what the pool pays for a member, by period, and what was used of it by now."""
        rows = await self.ask(sharing_questions.BUDGETS, of_account(member))
        return [
            BudgetRow(row.o_period, row.o_begins, row.o_amount, row.o_used, tuple(row.o_levels))
            for row in rows
        ]

    async def links(
        self, account: AccountRef, *, after: LinkRow | None, limit: int
    ) -> list[LinkRow]:
        """Return at most `limit` (up to PAGE_MAX) of the account's links, by address, after one."""
        asked = {
            **of_account(account),
            "after_address": b"" if after is None else after.address,
            "after_chain": sharing_questions.EVERY_CHAIN
            if after is None or after.chain_id is None
            else after.chain_id,
            "limit": bounded(limit),
        }
        return [
            LinkRow(
                row.address,
                None if row.chain_id == sharing_questions.EVERY_CHAIN else row.chain_id,
                row.linked_at,
            )
            for row in await self.ask(sharing_questions.LINKS, asked)
        ]

    async def wallets(
        self, account: AccountRef, *, after: WalletRow | None, limit: int
    ) -> list[WalletRow]:
        """Return at most `limit` (up to PAGE_MAX) wallets that earn for it, by address, after one.

        Those are the account's own and the linked ones.
        """
        after_chain = None if after is None else after.chain_id
        asked = {
            **of_account(account),
            "after_address": b"" if after is None else after.address,
            "after_chain": sharing_questions.EVERY_CHAIN if after_chain is None else after_chain,
            "limit": bounded(limit),
        }
        return [
            WalletRow(
                row.address,
                None if row.chain_id == sharing_questions.EVERY_CHAIN else row.chain_id,
                row.own,
                row.linked_at,
            )
            for row in await self.ask(sharing_questions.WALLETS, asked)
        ]

    async def status_changes(
        self, account: AccountRef, *, before_no: int | None, limit: int
    ) -> list[StatusChangeRow]:
        """Return at most `limit` (up to PAGE_MAX) of who froze or opened it, newest first.

        What a debt froze or a repayment opened is not among them: its entries tell.
        """
        asked = {**of_account(account), **page(before_no, limit)}
        return [
            StatusChangeRow(row.change_no, row.status, row.changed_by, row.reason, row.at)
            for row in await self.ask(sharing_questions.STATUS_CHANGES, asked)
        ]

    async def prices(
        self,
        *,
        at: datetime | None = None,
        operation: str | None = None,
        after: int | None = None,
        limit: int = PAGE_MAX,
    ) -> list[BookPrice]:
        """Return the prices of at most `limit` (up to PAGE_MAX) operations, by name and model.

        Those in force at a moment (None: now) and those that were to begin later. `operation` asks
        for one alone, `after` for those after the one of that number.
        """
        asked = {"at": at, "named": operation, "after": after, "limit": bounded(limit)}
        rows = await self.ask(price_questions.PRICES, asked)
        return [BookPrice.of(row) for row in rows]

    async def priced_operations(self, limit: int) -> tuple[str, ...]:
        """Return at most `limit` operations that have a price, by name."""
        rows = await self.ask(price_questions.NAMES, {"at": None, "limit": bounded(limit)})
        return tuple(row.name for row in rows)

    async def models_of(self, operation: str, limit: int) -> tuple[str, ...]:
        """Return at most `limit` models that have a price in force of their own, by name."""
        asked = {"at": None, "operation": operation, "limit": bounded(limit)}
        return tuple(row.model for row in await self.ask(price_questions.MODELS_OF, asked))

    async def api_key(self, digest: bytes) -> ApiKeyRow | None:
        """Return the API key whose SHA-256 is `digest`, good or not, None if there is none."""
        for row in await self.ask(api_key_questions.API_KEY, {"digest": digest}):
            return ApiKeyRow.of(row)
        return None

    async def api_key_record(self, key_id: int) -> ApiKeyRecord | None:
        """Return all that is known of the API key of a number, None if there is none."""
        for row in await self.ask(api_key_questions.RECORD, {"key_id": key_id}):
            return ApiKeyRecord.of(row)
        return None

    async def api_keys(
        self, owner: int | str | AccountRef | None, *, before: int | None, limit: int
    ) -> list[ApiKeyRecord]:
        """Return at most `limit` (up to PAGE_MAX) API keys numbered below `before`, newest first.

        Those of an app by its number or its name, of people by their account, or (None) all.
        """
        whose: dict[str, object] = {}
        match owner:
            case None:
                question = api_key_questions.RECORDS
            case int():
                question, whose = api_key_questions.RECORDS_OF_APP, {"app": owner}
            case str():
                question, whose = api_key_questions.RECORDS_OF_APP_NAMED, {"name": owner}
            case AccountRef():
                question, whose = api_key_questions.RECORDS_OF_ACCOUNT, {**of_account(owner)}
        rows = await self.ask(question, {**whose, **page(before, limit)})
        return [ApiKeyRecord.of(row) for row in rows]

    async def chains(self) -> list[ChainRow]:
        """Return how far every chain has been followed, by chain id."""
        return [ChainRow(**row._asdict()) for row in await self.ask(questions.CHAINS, {})]

    async def alarms(self) -> list[Alarm]:
        """Return what an operator has to look at, by chain."""
        return [Alarm(**row._asdict()) for row in await self.ask(questions.ALARMS, {})]
