"""Linking: which account earns by a wallet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg.rows import TupleRow

from ledger.changes import Changes
from ledger.ids import AccountRef
from ledger.outcomes import (
    AccountClosed,
    BeyondRange,
    ChallengeSpent,
    Frozen,
    LinkChained,
    Linked,
    LinkedElsewhere,
    LinkOutcome,
    NoSuchAccount,
    Unlinked,
    UnlinkOutcome,
)
from ledger.session import Session, opened

_ADDRESS_BYTES = 20


class Linking:
    """The links that an API process makes. Made by `Linking.open`, or on a session it has."""

    def __init__(self, session: Session, changes: Changes | None = None) -> None:
        self._session = session
        self._changes = changes

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database_url: str, *, changes: Changes | None = None
    ) -> AsyncIterator["Linking"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable.

        The books tell of its writes; `changes` tells this process before the write is answered.
        """
        async with opened(database_url, "creditd_api") as session:
            yield cls(session, changes)

    async def link_by_signature(
        self,
        *,
        app_id: int,
        account: AccountRef,
        message: str,
        signature: bytes,
        by_key: bool,
    ) -> LinkOutcome | ChallengeSpent:
        """Link the wallet that signed a text, to the account it was made for by `SignIns.enter`.

        The caller answers for the signature being the wallet's: its key's (`by_key`: the address
        is linked on every chain) or its contract's, on the text's own chain alone. Text and
        signature are kept. What is left of the wallet's credits moves to the account, and what it
        owes.
        """
        rows = await self._session.rows(
            "select * from creditd.link_by_signature(%s, %s::bigint, %s::bigint, %s, %s, %s)",
            (app_id, *account, message, signature, by_key),
        )
        self._tell(account)
        return ChallengeSpent() if rows[0][0] == "spent" else link_outcome(account, rows[0])

    async def unlink(
        self, *, app_id: int, chain_id: int | None, address: bytes, account: AccountRef
    ) -> UnlinkOutcome:
        """End an address's link to an account, on one chain or (None) on every chain.

        What is earned later is the wallet's own again; nothing moves back. Only for an app that
        opened the account, or SELF_SERVICE_APP: acting for an account is not enough. `address` has
        20 bytes, or ValueError is raised.
        """
        if len(address) != _ADDRESS_BYTES:
            raise ValueError(f"an address has {_ADDRESS_BYTES} bytes, this one {len(address)}")
        rows = await self._session.rows(
            "select creditd.unlink_wallet(%s, %s::bigint, %s, %s::bigint, %s::bigint)",
            (app_id, chain_id, address, *account),
        )
        self._tell(account)
        return unlink_outcome(rows[0][0])

    def _tell(self, account: AccountRef) -> None:
        if self._changes is not None:
            self._changes.tell([account])


def link_outcome(account: AccountRef, row: TupleRow) -> LinkOutcome:
    """Return what came of linking a wallet to an account, by the row that a function answered."""
    outcome, wallets, moved, debt = row
    if outcome in {"linked", "replayed"}:
        return Linked(account, wallets, moved, debt, replayed=outcome == "replayed")
    return _REFUSALS[outcome]


def unlink_outcome(outcome: str) -> UnlinkOutcome:
    """Return what came of ending a link, by the word that a function answered."""
    match outcome:
        case "unlinked" | "replayed":
            return Unlinked(replayed=outcome == "replayed")
        case "linked_elsewhere":
            return LinkedElsewhere()
        case _:
            return NoSuchAccount()


_REFUSALS: dict[str, LinkOutcome] = {
    "no_account": NoSuchAccount(),
    "linked_elsewhere": LinkedElsewhere(),
    "chained": LinkChained(),
    "closed": AccountClosed(),
    "frozen": Frozen(),
    "beyond_range": BeyondRange(),
}
