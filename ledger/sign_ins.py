"""Signing in by a wallet: texts that are given out to be signed, and sessions that are opened."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ledger.errors import LedgerBusy
from ledger.ids import AccountRef
from ledger.outcomes import ChallengeSpent, NoSuchAccount
from ledger.session import Session, opened

Purpose = Literal["sign_in", "link"]


@dataclass(frozen=True, slots=True)
class WalletRef:
    """An address (20 bytes) on one chain."""

    chain_id: int
    address: bytes


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """Which account a wallet is to be linked to, and the app that asked for it."""

    app_id: int
    account: AccountRef


@dataclass(frozen=True, slots=True)
class Given:
    """What a text was given out for; `link` is None where it is to sign in."""

    wallet: WalletRef
    link: LinkTerms | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is signed in, by which wallet, and until when (sooner, if the holder signs out).

    `app_id` is the app that people act by who come without one.
    """

    account: AccountRef
    app_id: int
    wallet: WalletRef
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session of an account, which lasts until `ends_at` at the latest."""

    account: AccountRef
    ends_at: datetime


class SignIns:
    """The sign-ins that an API process takes. Made by `SignIns.open`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["SignIns"]:
        """Open a session. Raises SchemaMismatch, LedgerUnavailable."""
        async with opened(database_url, "creditd_api") as session:
            yield cls(session)

    async def enter(
        self, text: str, wallet: WalletRef, link: LinkTerms | None, *, good_for: timedelta
    ) -> NoSuchAccount | None:
        """Enter a text that a wallet is asked to sign: to sign in, or to be linked.

        Refuses where the app does not reach the account. Raises LedgerBusy where more texts wait to
        be signed than anybody could want.
        """
        to_whom = (None, None, None) if link is None else (link.app_id, *link.account)
        rows = await self._session.rows(
            "select creditd.enter_challenge("
            "%s, %s, %s::bigint, %s, %s, %s::integer, %s::bigint, %s::bigint)",
            (
                digest_of(text),
                _purpose(link),
                wallet.chain_id,
                wallet.address,
                round(good_for.total_seconds()),
                *to_whom,
            ),
        )
        match rows[0][0]:
            case "entered":
                return None
            case "full":
                raise LedgerBusy("too many texts wait to be signed: try again in a moment")
            case _:
                return NoSuchAccount()

    async def try_text(self, text: str, purpose: Purpose) -> Given | None:
        """Return what a text was given out for, counting a try at it.

        None if it was not given out to the letter for this purpose, is over, was used, or was
        tried five times.
        """
        rows = await self._session.rows(
            "select * from creditd.try_challenge(%s, %s)", (digest_of(text), purpose)
        )
        chain_id, address, app_id, root_id, account_id = rows[0]
        if chain_id is None:
            return None
        link = None if app_id is None else LinkTerms(app_id, AccountRef(root_id, account_id))
        return Given(WalletRef(chain_id, address), link)

    async def sign_in(
        self, text: str, *, digest: bytes, former: bytes | None
    ) -> SessionOpened | ChallengeSpent:
        """Open a session for the account that a text's wallet leads to, and use the text up.

        The caller answers for the wallet having signed the text. `digest` is the SHA-256 of the
        session's secret, `former` that of the session which it takes the place of.
        """
        rows = await self._session.rows(
            "select * from creditd.sign_in(%s, %s, %s)", (digest_of(text), digest, former)
        )
        root_id, account_id, ends_at = rows[0]
        if root_id is None:
            return ChallengeSpent()
        return SessionOpened(AccountRef(root_id, account_id), ends_at)

    async def signed_in(self, digest: bytes) -> SignedIn | None:
        """Return who is signed in by a session's secret, and note that it was seen."""
        rows = await self._session.rows("select * from creditd.signed_in(%s)", (digest,))
        root_id, account_id, app_id, chain_id, address, ends_at = rows[0]
        if root_id is None:
            return None
        account = AccountRef(root_id, account_id)
        return SignedIn(account, app_id, WalletRef(chain_id, address), ends_at)

    async def sign_out(self, digest: bytes) -> bool:
        """End a session. Returns whether it was there, and not ended yet."""
        rows = await self._session.rows("select creditd.sign_out(%s)", (digest,))
        return bool(rows[0][0])

    async def sign_out_all(self, account: AccountRef) -> int:
        """End all sessions of an account. Returns how many."""
        rows = await self._session.rows(
            "select creditd.sign_out_all(%s::bigint, %s::bigint)", account
        )
        return int(rows[0][0])


def digest_of(text: str) -> bytes:
    """Return what the books know a text by."""
    return hashlib.sha256(text.encode()).digest()


def _purpose(link: LinkTerms | None) -> Purpose:
    return "sign_in" if link is None else "link"
