"""What operators write: API keys and prices, and how far an account may go."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import psycopg

from ledger.api_key_terms import TERMS, ApiKeyKind, ApiKeyTerms
from ledger.api_keys import (
    OVERLAP_DEFAULT,
    OVERLAP_MAX,
    SELF_SERVICE_APP,
    RotateOutcome,
    Secret,
    rotate_outcome,
)
from ledger.errors import LedgerError, UnknownAccount
from ledger.ids import AccountRef
from ledger.outcomes import NoSuchAccount, OverdraftSet
from ledger.price_book import PriceChange, PriceRow, price_change, price_list_as_json
from ledger.session import Session, opened

# What all grants, moves and the overdraft of an account come to stays within a bigint.
OVERDRAFT_MAX: Final = 1_000_000_000_000_000_000
# A line for a person to read: what is longer belongs where it can be looked up.
SIGNED_MAX: Final = 100
REASON_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class ReorgDecision:
    """What became of an operator's word on a reorg past confirmation.

    `outcome` is "accepted"; "replayed", if it was accepted before; or why it is not: "no_chain",
    "not_halted", "no_reorg" (it halted for another reason), "another_block" and "another_hash" than
    the halt is about. The halt is about block `number`: the books have `left_hash`, the node
    showed `new_hash`.
    """

    outcome: str
    number: int | None
    left_hash: bytes | None
    new_hash: bytes | None
    accepted_by: str | None
    at: datetime | None


class Operating:
    """An operator's session. Made by `Operating.open`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Operating"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable."""
        async with opened(database_url, "creditd_operator") as session:
            yield cls(session)

    async def create_app_key(
        self,
        *,
        app: str,
        scopes: Sequence[str],
        digest: bytes,
        hint: str,
        expires_at: datetime | None = None,
    ) -> int:
        """Enter an API key (only its digest) for an app, entering the app if it is new."""
        terms = ApiKeyTerms(scopes, expires_at=expires_at)
        return await self.create_api_key(terms, Secret(digest, hint), app=app)

    async def create_api_key(
        self,
        terms: ApiKeyTerms,
        secret: Secret,
        *,
        kind: ApiKeyKind = "app",
        app: str = SELF_SERVICE_APP,
        account: AccountRef | None = None,
    ) -> int:
        """Enter an API key of an app, of a person for one account, or of an operator.

        An app that is new is entered too; SELF_SERVICE_APP is for the other kinds. Returns its
        number. Raises LedgerError for another name or an account that is not there.
        """
        if (app == SELF_SERVICE_APP) == (kind == "app"):
            raise LedgerError(
                f"{SELF_SERVICE_APP} is the app of people's and operators' own API keys, and of"
                " nothing else: give the app another name"
            )
        if (account is None) == (kind == "personal"):
            raise LedgerError("a personal API key is for one account, and others are for none")
        try:
            rows = await self._session.rows(
                f"select creditd.create_api_key(%s, %s, %s::bigint, %s::bigint, {TERMS})",
                (
                    *(app, kind, *(account or (None, None))),
                    *terms.parameters(secret.digest, secret.hint),
                ),
            )
        except psycopg.errors.CheckViolation as error:
            raise LedgerError(
                "an app's name has 1 to 100 characters, a cap is from 0 to 4*10^18 micro-credits,"
                " and a rate from 1 to 1,000,000 requests in up to a day"
            ) from error
        if rows[0][0] is None:
            raise UnknownAccount("there is no such account in the books")
        return int(rows[0][0])

    async def rotate_api_key(
        self,
        key_id: int,
        secret: Secret,
        *,
        overlap: timedelta = OVERLAP_DEFAULT,
        expires_at: datetime | None = None,
    ) -> RotateOutcome:
        """Give an API key a successor that may do the same; it is good for `overlap` more itself.

        The successor expires at `expires_at`, or (None) when the old one would have. Raises
        LedgerError for an overlap beyond OVERLAP_MAX.
        """
        if not timedelta(0) <= overlap <= OVERLAP_MAX:
            raise LedgerError(f"an API key that is replaced stays good for at most {OVERLAP_MAX}")
        rows = await self._session.rows(
            "select * from creditd.rotate_api_key(%s::integer, %s, %s, %s::interval,"
            " %s::timestamptz)",
            (key_id, secret.digest, secret.hint, overlap, expires_at),
        )
        return rotate_outcome(*rows[0])

    async def revoke_api_key(self, key_id: int) -> bool:
        """End an API key. Returns whether it was in the books and good until now."""
        rows = await self._session.rows("select creditd.revoke_api_key(%s)", (key_id,))
        return bool(rows[0][0])

    async def apply_prices(
        self, prices: Sequence[PriceRow], *, withdraw: bool = False, dry_run: bool = False
    ) -> list[PriceChange]:
        """Put a price list in force, all at once, or (`dry_run`) only tell what that would change.

        What the list does not have stays in force, or with `withdraw` ends now. Nothing is written
        if a change is "past".
        """
        rows = await self._session.rows(
            "select * from creditd.apply_prices(%s::jsonb, %s, %s)",
            (price_list_as_json(prices), withdraw, dry_run),
        )
        return [price_change(row) for row in rows]

    async def accept_reorg(
        self, chain: str, number: int, block: bytes, *, by: str, reason: str
    ) -> ReorgDecision:
        """Accept that `block` stands where a halted chain's confirmed block `number` was.

        The chain's watcher takes back what the left blocks granted, once its node shows the same
        again, proven. `by` (1 to 100 characters) and `reason` (1 to 500) are kept. Raises
        LedgerError for others.
        """
        if not (1 <= len(by) <= SIGNED_MAX and 1 <= len(reason) <= REASON_MAX):
            raise LedgerError(
                f"who accepts a reorg gives a name of 1 to {SIGNED_MAX} characters"
                f" and a reason of 1 to {REASON_MAX}"
            )
        rows = await self._session.rows(
            "select * from creditd.accept_reorg(%s, %s::bigint, %s, %s, %s)",
            (chain, number, block, by, reason),
        )
        return ReorgDecision(*rows[0])

    async def set_overdraft(
        self, account: AccountRef, limit_micro: int
    ) -> OverdraftSet | NoSuchAccount:
        """Let an account go `limit_micro` below nothing: its charges burn that last.

        What comes in pays back first what is used of it. Raises LedgerError unless the limit is
        between 0 and 10^18.
        """
        if not 0 <= limit_micro <= OVERDRAFT_MAX:
            raise LedgerError(f"an overdraft is between 0 and {OVERDRAFT_MAX} micro-credits")
        rows = await self._session.rows(
            "select * from creditd.set_overdraft(%s::bigint, %s::bigint, %s::bigint)",
            (*account, limit_micro),
        )
        outcome, used, unused = rows[0]
        return NoSuchAccount() if outcome == "no_account" else OverdraftSet(used, unused)
