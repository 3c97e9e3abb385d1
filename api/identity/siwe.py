"""Sign-In with Ethereum (EIP-4361): the text that a wallet signs, read strictly and written.

A message is read by the grammar of the EIP, and only if writing it again gives the same text: no
two texts stand for one message. Beyond the grammar the address must have its checksum (EIP-55) and
the domain must not be empty. The published packages do not install beside web3 8.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from api.calling.addresses import format_address, parse_address
from api.shapes import CHAIN_ID_MAX

MESSAGE_LENGTH_MAX: Final = 4_096  # ours take about 600 characters
RESOURCES_MAX: Final = 16
VERSION: Final = "1"

# Of RFC 3986. Nothing here can match one text in two ways, so that no text takes long to refuse.
_UNRESERVED: Final = r"A-Za-z0-9\-._~"
_SUB_DELIMS: Final = r"!$&'()*+,;="
_ESCAPED: Final = r"%[0-9A-Fa-f]{2}"
_PCHAR: Final = rf"(?:[{_UNRESERVED}{_SUB_DELIMS}:@]|{_ESCAPED})"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+\-.]*"
_AUTHORITY: Final = re.compile(
    rf"(?:(?:[{_UNRESERVED}{_SUB_DELIMS}:]|{_ESCAPED})*@)?"
    rf"(?:\[(?P<literal>[^\[\]]*)\]|(?:[{_UNRESERVED}{_SUB_DELIMS}]|{_ESCAPED})*)"
    r"(?::[0-9]*)?",
    re.ASCII,
)
_FUTURE_ADDRESS: Final = re.compile(rf"[vV][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMS}:]+", re.ASCII)
_URI: Final = re.compile(
    rf"{_SCHEME}:(?://(?P<authority>[^/?#]*)(?:/{_PCHAR}*)*"
    rf"|/(?:{_PCHAR}+(?:/{_PCHAR}*)*)?"
    rf"|{_PCHAR}+(?:/{_PCHAR}*)*"
    rf"|)"
    rf"(?:\?(?:{_PCHAR}|[/?])*)?(?:\#(?:{_PCHAR}|[/?])*)?",
    re.ASCII,
)
# RFC 3339.
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+\-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_STATEMENT: Final = re.compile(rf"[{_UNRESERVED}:/?#\[\]@{_SUB_DELIMS} ]+", re.ASCII)
_NONCE: Final = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
_REQUEST_ID: Final = re.compile(rf"{_PCHAR}*", re.ASCII)

# Each line's content is looked at by itself: here only where it begins and ends.
_MESSAGE: Final = re.compile(
    rf"(?:(?P<scheme>{_SCHEME})://)?(?P<domain>[^ /?#\n]+)"
    r" wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9A-Fa-f]{40})\n"
    r"\n"
    r"(?:(?P<statement>[^\n]+)\n)?"
    r"\n"
    r"URI: (?P<uri>[^\n]+)\n"
    r"Version: (?P<version>1)\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,20})\n"
    r"Nonce: (?P<nonce>[^\n]+)\n"
    r"Issued At: (?P<issued_at>[^\n]+)"
    r"(?:\nExpiration Time: (?P<expiration_time>[^\n]+))?"
    r"(?:\nNot Before: (?P<not_before>[^\n]+))?"
    r"(?:\nRequest ID: (?P<request_id>[^\n]*))?"
    r"(?P<resources>\nResources:(?:\n- [^\n]+)*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a wallet is asked to sign. Times are texts of RFC 3339; an address has 20 bytes.

    `domain` is host and port, `uri` what is signed in to. None: the line is left out.
    """

    domain: str
    address: bytes
    uri: str
    chain_id: int
    nonce: str
    issued_at: str
    scheme: str | None = None
    statement: str | None = None
    expiration_time: str | None = None
    not_before: str | None = None
    request_id: str | None = None
    resources: tuple[str, ...] | None = None


def render_message(message: Message) -> str:
    """Return the text of a message, which ends without a line feed."""
    scheme = "" if message.scheme is None else f"{message.scheme}://"
    lines = [
        f"{scheme}{message.domain} wants you to sign in with your Ethereum account:",
        format_address(message.address),
        "",
        *([] if message.statement is None else [message.statement]),
        "",
        f"URI: {message.uri}",
        f"Version: {VERSION}",
        f"Chain ID: {message.chain_id}",
        f"Nonce: {message.nonce}",
        f"Issued At: {message.issued_at}",
    ]
    for name, value in (
        ("Expiration Time", message.expiration_time),
        ("Not Before", message.not_before),
        ("Request ID", message.request_id),
    ):
        if value is not None:
            lines.append(f"{name}: {value}")
    if message.resources is not None:
        lines += ["Resources:", *(f"- {each}" for each in message.resources)]
    return "\n".join(lines)


def parse_message(text: str) -> Message:
    """Return the message whose text this is. Raises ValueError that names what is wrong."""
    if len(text) > MESSAGE_LENGTH_MAX:
        raise ValueError(f"has more than {MESSAGE_LENGTH_MAX} characters")
    found = _MESSAGE.fullmatch(text)
    if found is None:
        raise ValueError("does not have the lines of EIP-4361 in their order")
    parts = found.groupdict()
    resources = parts["resources"]
    message = Message(
        scheme=parts["scheme"],
        domain=parts["domain"],
        address=parse_address(parts["address"]),
        statement=parts["statement"],
        uri=parts["uri"],
        chain_id=int(parts["chain_id"]),
        nonce=parts["nonce"],
        issued_at=parts["issued_at"],
        expiration_time=parts["expiration_time"],
        not_before=parts["not_before"],
        request_id=parts["request_id"],
        resources=None if resources is None else tuple(resources.split("\n- ")[1:]),
    )
    _require_sound(message)
    if render_message(message) != text:
        raise ValueError("is not written as EIP-4361 writes it")
    return message


def moment(text: str) -> datetime:
    """Return the moment of a message's time. Raises ValueError if it is none."""
    if _DATE_TIME.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no time of RFC 3339")
    return datetime.fromisoformat(text.upper())


def moment_text(at: datetime) -> str:
    """Return an aware time as messages have it, to the second."""
    return f"{at.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()}Z"


def _require_sound(message: Message) -> None:
    """Raise ValueError unless each part is what the grammar says of it."""
    for name, letters, part in (
        ("statement", _STATEMENT, message.statement),
        ("nonce", _NONCE, message.nonce),
        ("request id", _REQUEST_ID, message.request_id),
    ):
        if part is not None and letters.fullmatch(part) is None:
            raise ValueError(f"has a {name} that EIP-4361 does not allow")
    for time in (message.issued_at, message.expiration_time, message.not_before):
        if time is not None:
            moment(time)
    if not _is_authority(message.domain):
        raise ValueError("has a domain that is none")
    if message.chain_id > CHAIN_ID_MAX:
        raise ValueError("has a chain id that no chain has")
    resources = message.resources or ()
    if len(resources) > RESOURCES_MAX:
        raise ValueError(f"names more than {RESOURCES_MAX} resources")
    for uri in (message.uri, *resources):
        if not _is_uri(uri):
            raise ValueError(f"names {uri[:80]!r}, which is no URI")


def _is_uri(text: str) -> bool:
    found = _URI.fullmatch(text)
    return found is not None and (found["authority"] is None or _is_authority(found["authority"]))


def _is_authority(text: str) -> bool:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return False
    literal = found["literal"]
    if literal is None or _FUTURE_ADDRESS.fullmatch(literal):
        return True
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return "%" not in literal  # zones are of another standard
