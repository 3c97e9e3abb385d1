"""Grants that no chain made: bought, promotional, of a plan, or to put something right."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from ledger.credits import MICRO_MAX
from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    BeyondBreaker,
    BeyondRange,
    Grant,
    Granted,
    GrantOutcome,
    KeyReused,
    NoSuchAccount,
    NoSuchCharge,
)
from ledger.requests import digest128
from ledger.session import Session, opened

GrantSource = Literal["purchased", "promotional", "plan", "adjustment"]

PRIORITY_USUAL: Final = 100
PRIORITY_MAX: Final = 32_766  # an overdraft comes after all else

_GRANT: Final = (
    "select (g).* from creditd.grant_credits(%s::bigint, %s::bigint, %s, %s::bigint, %s::uuid,"
    " %s::uuid, coalesce(%s::timestamptz, '-infinity'), coalesce(%s::timestamptz, 'infinity'),"
    " %s::smallint, %s::text[], %s, %s::bigint, %s::bigint, %s::bigint) g"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How granted credits may be spent.

    From `effective_at` (None: at once) until before `expires_at` (None: for ever), both aware of
    their zone; by `priority`, 0 to 32766, lower ones first; for `operations` only (None: for all).
    Raises ValueError for terms that no lot can have.
    """

    effective_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int = PRIORITY_USUAL
    operations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for moment in (self.effective_at, self.expires_at):
            if moment is not None and moment.utcoffset() is None:
                raise ValueError(f"{moment} says no time zone")
        if None not in (self.effective_at, self.expires_at) and not self._begins_before_it_ends():
            raise ValueError(f"credits of {self.effective_at} end before, at {self.expires_at}")
        if not 0 <= self.priority <= PRIORITY_MAX:
            raise ValueError(f"a priority is 0 to {PRIORITY_MAX} (got {self.priority})")
        if self.operations is not None and not self.operations:
            raise ValueError("credits for no operation at all could never be spent")

    def _begins_before_it_ends(self) -> bool:
        begins, ends = self.effective_at, self.expires_at
        return begins is not None and ends is not None and begins < ends


USUAL_TERMS: Final = Terms()


class Granting:
    """The grants that an operator makes. Made by `Granting.open`, or on a session it has."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["Granting"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable."""
        async with opened(database_url, "creditd_operator") as session:
            yield cls(session)

    async def grant(
        self,
        *,
        account: AccountRef,
        source: GrantSource,
        amount: int,
        key: str,
        terms: Terms = USUAL_TERMS,
        reason: str | None = None,
        cause: MovementRef | None = None,
    ) -> GrantOutcome:
        """Grant an account `amount` micro-credits (1 to MICRO_MAX), once per (account, key).

        A debt is paid of them first, then what is used of an overdraft. `cause` is the charge that
        they are granted for, such as cashback: all that one charge causes is at most half of what
        it holds after refunds, less what refunds have left unbacked of what the account's charges
        caused. Raises ValueError for another amount, LedgerUnavailable if the database did not
        answer: the same key then tells what happened.
        """
        if not 1 <= amount <= MICRO_MAX:
            raise ValueError(f"a grant is 1 to {MICRO_MAX} micro-credits (got {amount})")
        charge = (None, None, None) if cause is None else (*cause.account, cause.seq)
        operations = None if terms.operations is None else sorted(set(terms.operations))
        rows = await self._session.rows(
            _GRANT,
            (
                *account,
                source,
                amount,
                UUID(bytes=digest128("operator's grant", *map(str, account), key)),
                UUID(bytes=_request_digest(source, amount, terms, reason, cause)),
                terms.effective_at,
                terms.expires_at,
                terms.priority,
                operations,
                reason,
                *charge,
            ),
        )
        outcome, seq, granted, repaid, available, at = rows[0]
        match outcome:
            case "granted" | "replayed":
                movement = MovementRef(account, seq)
                grant = Grant(movement, granted, repaid, available, at)
                return Granted(grant, replayed=outcome == "replayed")
            case "beyond_breaker":
                return BeyondBreaker(left=granted)
            case _:
                return _REFUSALS[outcome]


def _request_digest(
    source: str, amount: int, terms: Terms, reason: str | None, cause: MovementRef | None
) -> bytes:
    """Return what a request is recognised by: the same moment in another zone is the same."""
    moments = (
        None if moment is None else str(moment.timestamp())
        for moment in (terms.effective_at, terms.expires_at)
    )
    said = (source, amount, *moments, terms.priority, terms.operations, reason, cause)
    return digest128("grant", *map(repr, said))


_REFUSALS: Final[dict[str, KeyReused | NoSuchAccount | NoSuchCharge | BeyondRange]] = {
    "key_reused": KeyReused(),
    "no_account": NoSuchAccount(),
    "no_charge": NoSuchCharge(),
    "beyond_range": BeyondRange(),
}
