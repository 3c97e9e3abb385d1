"""Texts that wallets are asked to sign: made here, given out, and taken back to the letter."""

import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import Final

from api.calling.addresses import format_address
from api.calling.asked import address_asked
from api.calling.caller import Caller
from api.calling.calls import Parts
from api.calling.sign_in_terms import SignInTerms
from api.identity import sign_in_wire as wire
from api.identity.signatures import Proof, parse_signature, prove
from api.identity.siwe import Message, moment, moment_text, parse_message, render_message
from api.problems.refusals import (
    ChainUnreachable,
    ChainUnserved,
    ChallengeUnknown,
    Invalid,
    Refused,
    SignatureRefused,
)
from ledger.ids import format_account
from ledger.sign_ins import Given, LinkTerms, Purpose, WalletRef

CHALLENGE_GOOD_FOR: Final = timedelta(minutes=10)  # time to find the hardware wallet, and no more
NONCE_LENGTH: Final = 22  # letters and digits: 130 bits

SIGN_IN_STATEMENT: Final = "Sign in to your credits. This moves nothing and costs nothing."
LINK_STATEMENT: Final = (
    "Link this wallet to the credits account {account}: what it has earned and will earn is that"
    " account's from now on. Sign only if that account is yours."
)
# What is signed in to: a text for one is no text for the other.
PATHS: Final[dict[Purpose, str]] = {"sign_in": "/v1/sign-in", "link": "/v1/wallets"}

_NONCE_LETTERS: Final = string.ascii_letters + string.digits


def wallet_asked(terms: SignInTerms, chain_id: int, address: str) -> WalletRef:
    """Return the wallet of a body. Raises Refused."""
    wallet = WalletRef(chain_id, address_asked(address))
    if chain_id not in terms.chain_ids:
        raise Refused(ChainUnserved(chain_id))
    return wallet


async def give_out(
    parts: Parts, terms: SignInTerms, wallet: WalletRef, link: LinkTerms | None
) -> wire.Challenge:
    """Make a text for a wallet to sign, to sign in or to be linked, and enter it in the books.

    Raises Refused(NoSuchAccount) and Refused(TooManyChallenges), LedgerBusy.
    """
    parts.signing.pace.take()
    purpose: Purpose = "sign_in" if link is None else "link"
    now = datetime.now(UTC)
    expires_at = (now + CHALLENGE_GOOD_FOR).replace(microsecond=0)
    message = Message(
        domain=terms.domain,
        address=wallet.address,
        statement=_statement(link),
        uri=terms.public_url + PATHS[purpose],
        chain_id=wallet.chain_id,
        nonce="".join(secrets.choice(_NONCE_LETTERS) for _ in range(NONCE_LENGTH)),
        issued_at=moment_text(now),
        expiration_time=moment_text(expires_at),
    )
    text = render_message(message)
    refused = await parts.signing.sign_ins.enter(text, wallet, link, good_for=CHALLENGE_GOOD_FOR)
    if refused is not None:
        raise Refused(refused)
    return wire.Challenge(text, message.nonce, expires_at)


async def take_back(
    parts: Parts,
    terms: SignInTerms,
    purpose: Purpose,
    signed: wire.SignedMessage,
    caller: Caller | None = None,
) -> tuple[Given, Proof, bytes]:
    """Return what a signed text was given out for, whose signature it has, and the signature.

    It must be a text of this purpose that was given out here, to the letter (and, to link, to this
    caller), with its own wallet's signature. Nothing is used up yet but one of a few tries. Raises
    Refused.
    """
    try:
        message = parse_message(signed.message)
    except ValueError as error:
        raise Refused(Invalid("message", f"{error}: sign and send it as it was given")) from error
    try:
        signature = parse_signature(signed.signature)
    except ValueError as error:
        raise Refused(Invalid("signature", str(error))) from error
    _require_ours(terms, purpose, message)
    given = await parts.signing.sign_ins.try_text(signed.message, purpose)
    if given is None or not _is_same(message, given) or not _may_use(caller, given.link):
        raise Refused(ChallengeUnknown())
    wallet = given.wallet
    proof = await prove(
        terms.ask_contract, wallet.chain_id, wallet.address, signed.message, signature
    )
    if proof is Proof.UNKNOWN:
        raise Refused(ChainUnreachable(wallet.chain_id))
    if proof is Proof.NONE:
        raise Refused(SignatureRefused(format_address(wallet.address), wallet.chain_id))
    return given, proof, signature


def _require_ours(terms: SignInTerms, purpose: Purpose, message: Message) -> None:
    """Refuse what cannot have been given out for this, before the books are asked."""
    now = datetime.now(UTC)
    ends = message.expiration_time
    is_ours = (
        message.scheme is None
        and message.domain == terms.domain
        and message.uri == terms.public_url + PATHS[purpose]
        and message.chain_id in terms.chain_ids
        and message.not_before is None
        and message.request_id is None
        and message.resources is None
        and moment(message.issued_at) <= now
        and ends is not None
        and now < moment(ends)
    )
    if not is_ours:
        raise Refused(ChallengeUnknown())


def _is_same(message: Message, given: Given) -> bool:
    """Whether a text says what it was given out for: it was stored by us, and yet read again."""
    wallet = given.wallet
    said = (message.chain_id, message.address, message.statement)
    return said == (wallet.chain_id, wallet.address, _statement(given.link))


def _may_use(caller: Caller | None, link: LinkTerms | None) -> bool:
    """Whether a caller (None: anybody) is the one whom a text was given out to."""
    if caller is None or link is None:
        return caller is None and link is None
    return caller.app_id == link.app_id and caller.account in {None, link.account}


def _statement(link: LinkTerms | None) -> str:
    if link is None:
        return SIGN_IN_STATEMENT
    return LINK_STATEMENT.format(account=format_account(link.account))
