"""Signing in by a wallet, and who is signed in."""

from api.caching import NO_STORE
from api.calling.addresses import format_address
from api.calling.calls import Answer, Call, Parts, Visit
from api.identity import sign_in_wire as wire
from api.identity.challenges import give_out, take_back, wallet_asked
from api.identity.sessions import (
    clear_cookie,
    new_session,
    require_no_other_page,
    session_digest,
    set_cookie,
)
from api.problems.refusals import ChallengeUnknown, Refused, SessionOver
from api.shapes import NoBody, NoQuery
from ledger.ids import format_account
from ledger.outcomes import ChallengeSpent
from ledger.sign_ins import WalletRef


async def challenge(parts: Parts, visit: Visit[wire.SignInChallengeRequest]) -> Answer:
    """Give out a text for a wallet to sign in by."""
    terms = parts.signing.offered()
    wallet = wallet_asked(terms, visit.body.chain_id, visit.body.address)
    return Answer(201, await give_out(parts, terms, wallet, None), (NO_STORE,))


async def sign_in(parts: Parts, visit: Visit[wire.SignedMessage]) -> Answer:
    """Open a session for the account of the wallet that signed, and give its secret as a cookie.

    It is a new one each time: what came along in the request is never taken over, and ends.
    """
    terms = parts.signing.offered()
    # Another site's page could sign its visitor in as somebody else.
    require_no_other_page(terms.public_url, visit.headers)
    given, _, _ = await take_back(parts, terms, "sign_in", visit.body)
    session, former = new_session(), _former(visit)
    opened = await parts.signing.sign_ins.sign_in(
        visit.body.message, digest=session.digest, former=former
    )
    if isinstance(opened, ChallengeSpent):
        raise Refused(ChallengeUnknown())
    if former is not None:
        parts.signing.sessions.forget(former)
    who = await parts.signing.sessions.signed_in(session.digest)
    answer = wire.Session(format_account(opened.account), _wallet(given.wallet), who.ends_at)
    return Answer(201, answer, (NO_STORE, set_cookie(session, opened.ends_at)))


async def who_is_signed_in(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """Return whose session this is."""
    who = await parts.signing.sessions.signed_in(_session_of(call))
    session = wire.Session(format_account(who.account), _wallet(who.wallet), who.ends_at)
    return Answer(200, session, (NO_STORE,))


async def sign_out(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """End this session."""
    digest = _session_of(call)
    ended = await parts.signing.sign_ins.sign_out(digest)
    parts.signing.sessions.forget(digest)
    return Answer(200, wire.SignedOut(int(ended)), (NO_STORE, clear_cookie()))


async def sign_out_everywhere(parts: Parts, call: Call[NoBody, NoQuery]) -> Answer:
    """End all sessions of the account."""
    who = await parts.signing.sessions.signed_in(_session_of(call))
    ended = await parts.signing.sign_ins.sign_out_all(who.account)
    parts.signing.sessions.forget_all()
    return Answer(200, wire.SignedOut(ended), (NO_STORE, clear_cookie()))


def _session_of(call: Call[NoBody, NoQuery]) -> bytes:
    """Return the digest of the caller's session. Raises Refused(SessionOver): an API key's call."""
    if call.caller.session is None:
        raise Refused(SessionOver())
    return call.caller.session


def _former(visit: Visit[wire.SignedMessage]) -> bytes | None:
    try:
        return session_digest(visit.headers.get(b"cookie", ()))
    except Refused:  # whatever else the cookie holds: it is replaced
        return None


def _wallet(wallet: WalletRef) -> wire.Wallet:
    return wire.Wallet(wallet.chain_id, format_address(wallet.address))
