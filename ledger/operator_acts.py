"""What operators do, over their port or by commands: who did it, how, and why."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ledger.credits import MICRO_MAX
from ledger.errors import LedgerError
from ledger.ids import AccountRef, MovementRef
from ledger.linking import link_outcome, unlink_outcome
from ledger.operating import REASON_MAX, SIGNED_MAX
from ledger.outcomes import (
    AccountClosed,
    BeyondRange,
    Grant,
    Granted,
    GrantTakenBack,
    KeyReused,
    LinkOutcome,
    NoSuchAccount,
    NoSuchGrant,
    NoSuchSource,
    StatusSet,
    UnlinkOutcome,
)
from ledger.requests import BIGINT_MAX, digest128
from ledger.session import Session, opened

BY_COMMAND: Final = 0  # where an API key would be named


@dataclass(frozen=True, slots=True)
class Signature:
    """Who does something, and why: a name of 1 to 100 characters, a reason of 1 to 500.

    `api_key_id` is by which API key, BY_COMMAND by none. Raises LedgerError for other lengths.
    """

    by: str
    reason: str
    api_key_id: int = BY_COMMAND

    def __post_init__(self) -> None:
        if not (1 <= len(self.by) <= SIGNED_MAX and 1 <= len(self.reason) <= REASON_MAX):
            raise LedgerError(
                f"who changes an account gives a name of 1 to {SIGNED_MAX} characters and a reason"
                f" of 1 to {REASON_MAX}"
            )


class OperatorActs:
    """A session of an operator's. Made by `OperatorActs.open`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["OperatorActs"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable."""
        async with opened(database_url, "creditd_operator") as session:
            yield cls(session)

    async def adjust(
        self, account: AccountRef, amount: int, *, key: str, signed: Signature
    ) -> Granted | KeyReused | NoSuchAccount | BeyondRange:
        """Grant an account `amount` micro-credits to put something right, once per key.

        A debt is paid of them first, then what is used of an overdraft.
        """
        if not 1 <= amount <= MICRO_MAX:
            return BeyondRange()
        rows = await self._session.rows(
            "select (a).* from creditd.adjust(%s::bigint, %s::bigint, %s::bigint, %s::uuid,"
            " %s::uuid, %s, %s, %s) a",
            (
                *account,
                amount,
                UUID(bytes=digest128("operator's adjustment", *map(str, account), key)),
                UUID(bytes=digest128("adjustment", str(amount), signed.by, signed.reason)),
                *(signed.api_key_id, signed.by, signed.reason),
            ),
        )
        outcome, seq, granted, repaid, available, at = rows[0]
        match outcome:
            case "granted" | "replayed":
                grant = Grant(MovementRef(account, seq), granted, repaid, available, at)
                return Granted(grant, replayed=outcome == "replayed")
            case "key_reused":
                return KeyReused()
            case "no_account":
                return NoSuchAccount()
            case _:
                return BeyondRange()

    async def take_back(
        self, grant: MovementRef, *, signed: Signature
    ) -> GrantTakenBack | NoSuchGrant:
        """Take back a grant that no chain made, by the number of its entry.

        What is left of it goes, wherever it has moved to; what was spent of it is owed; what is
        reserved is decided when that ends.
        """
        if not 1 <= grant.seq <= BIGINT_MAX:
            return NoSuchGrant()
        rows = await self._session.rows(
            "select * from creditd.take_back_grant(%s::bigint, %s::bigint, %s::bigint, %s, %s, %s)",
            (*grant.account, grant.seq, signed.api_key_id, signed.by, signed.reason),
        )
        outcome, granted, taken, available, debt = rows[0]
        if outcome == "no_grant":
            return NoSuchGrant()
        return GrantTakenBack(granted, taken, available, debt, replayed=outcome == "replayed")

    async def link(
        self, account: AccountRef, *, chain_id: int | None, address: bytes, signed: Signature
    ) -> LinkOutcome:
        """Let an address's wallet on one chain, or (None) on every chain, earn for an account.

        For those who cannot sign: mining payout addresses, say. What is left of the wallet's
        credits moves there, and what it owes. The operator answers for the address being its
        user's; on every chain only if a key holds it: a contract's address may belong to others
        elsewhere.
        """
        rows = await self._session.rows(
            "select * from creditd.attest_link(%s::bigint, %s, %s::bigint, %s::bigint, %s, %s, %s)",
            (chain_id, address, *account, signed.api_key_id, signed.by, signed.reason),
        )
        return link_outcome(account, rows[0])

    async def unlink(
        self, account: AccountRef, *, chain_id: int | None, address: bytes, signed: Signature
    ) -> UnlinkOutcome:
        """End an address's link to an account. As `Linking.unlink` else."""
        rows = await self._session.rows(
            "select creditd.end_link(%s::bigint, %s, %s::bigint, %s::bigint, %s, %s, %s)",
            (chain_id, address, *account, signed.api_key_id, signed.by, signed.reason),
        )
        return unlink_outcome(rows[0][0])

    async def set_frozen(
        self, account: AccountRef, *, frozen: bool, signed: Signature
    ) -> StatusSet | NoSuchAccount | AccountClosed:
        """Refuse an account's charges and reservations, or let them go on."""
        rows = await self._session.rows(
            "select * from creditd.set_frozen(%s::bigint, %s::bigint, %s, %s, %s, %s)",
            (*account, frozen, signed.api_key_id, signed.by, signed.reason),
        )
        outcome, changed = rows[0]
        match outcome:
            case "no_account":
                return NoSuchAccount()
            case "closed":
                return AccountClosed()
            case _:
                return StatusSet(changed=changed)

    async def note_replay(
        self, source: str, first: int, last: int | None, *, signed: Signature
    ) -> NoSuchSource | None:
        """Note that a source's logs in blocks `first` to `last` are about to be read again.

        `last` None: in all from the first on. Returns None if it is noted.
        """
        rows = await self._session.rows(
            "select creditd.note_replay(%s, %s::bigint, %s::bigint, %s, %s, %s)",
            (source, first, last, signed.api_key_id, signed.by, signed.reason),
        )
        return NoSuchSource(source) if rows[0][0] == "no_source" else None
