"""What operators write: API keys and prices."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ledger.errors import LedgerError
from ledger.session import Session


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The price of an operation: base plus per_unit for each unit, in micro-credits."""

    operation: str
    base_micro: int
    per_unit_micro: int
    unit: str


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What became of one price: its version in force, and whether that is new."""

    operation: str
    version: int
    changed: bool


class Operating:
    """An operator's session. Made by `Operating.open`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Operating"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable."""
        session = Session(database_url, "creditd_operator")
        try:
            await session.require_release()
            yield cls(session)
        finally:
            await session.close()

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
        try:
            rows = await self._session.rows(
                "select creditd.create_api_key(%s, %s::text[], %s, %s, %s)",
                (app, list(scopes), digest, hint, expires_at),
            )
        except psycopg.errors.CheckViolation as error:
            raise LedgerError("an app's name has 1 to 100 characters") from error
        return int(rows[0][0])

    async def revoke_api_key(self, key_id: int) -> bool:
        """End an API key. Returns whether it was in the books and good until now."""
        rows = await self._session.rows("select creditd.revoke_api_key(%s)", (key_id,))
        return bool(rows[0][0])

    async def apply_prices(self, prices: Sequence[PriceRow]) -> list[PriceChange]:
        """Make a new version of each price that differs from the one in force, all at once."""
        rows = await self._session.rows(
            "select * from creditd.apply_prices("
            "%s::text[], %s::bigint[], %s::bigint[], %s::text[])",
            (
                [price.operation for price in prices],
                [price.base_micro for price in prices],
                [price.per_unit_micro for price in prices],
                [price.unit for price in prices],
            ),
        )
        return [PriceChange(*row) for row in rows]
