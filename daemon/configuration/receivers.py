"""The receivers in the configuration: who is told of what happens in the books, and how."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from daemon.configuration.addresses import read_url
from daemon.configuration.mistakes import nearest, shown
from daemon.configuration.secret_url import SecretUrl, fill_in
from daemon.configuration.sources import read_name
from daemon.configuration.toml_reader import Table
from ledger.outbox import TOPICS

# Each has a connection of the database and a task of its own.
RECEIVERS_MAX: Final = 16
# What Standard Webhooks asks of a secret.
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - it begins every secret and is none

_SECRET_WANTED: Final = (
    f'"$NAME" from the environment: {SECRET_PREFIX} and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}'
    " random bytes in base64, such as `openssl rand -base64 32` makes"
)
_PORT: Final = re.compile(r":[0-9]+\Z", re.ASCII)  # an IPv6 address ends with its bracket
_TOPICS_WANTED: Final = f"an array of topics, of {', '.join(TOPICS)}"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told: posted to at `url`, signed with every one of `secrets`, of these topics."""

    name: str
    url: SecretUrl
    secrets: tuple[bytes, ...] = field(repr=False)
    topics: tuple[str, ...]

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return what is allowed here and yet less careful than could be."""
        if self.url.scheme == "https" or _is_this_machine(self.url.hosts):
            return ()
        caution = (
            "http://: whoever is on the way reads balances and accounts, and a signature keeps"
            " nobody from that: use https://"
        )
        return (caution,)


def _is_this_machine(host: str) -> bool:
    """Return whether what is sent to a host, with a port or without, never leaves this machine."""
    name = _PORT.sub("", host).strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def read_receivers(root: Table, environ: Mapping[str, str]) -> list[tuple[Table, Receiver]]:
    """Return the receivers under `webhooks`, of which there may be none."""
    if root.value("webhooks") is None:
        return []
    tables = root.tables("webhooks", wanted="tables headed [[webhooks]]")
    if len(tables) > RECEIVERS_MAX:
        root.mistake("webhooks", f"are {len(tables)}, at most {RECEIVERS_MAX} are served")
    return [(table, _read_receiver(table, environ)) for table in tables]


def _read_receiver(table: Table, environ: Mapping[str, str]) -> Receiver:
    secrets = [_read_secret(table, "secret", environ)]
    if table.value("old_secret") is not None:
        secrets.append(_read_secret(table, "old_secret", environ))
    receiver = Receiver(
        name=read_name(table),
        url=_read_url(table, environ),
        secrets=tuple(secrets),
        topics=_read_topics(table),
    )
    table.refuse_unknown()
    return receiver


def _read_url(table: Table, environ: Mapping[str, str]) -> SecretUrl:
    url = read_url(table, "url", ("https", "http"), environ)
    if table.sound("url") and ("," in url.hosts or not url.hosts):
        table.mistake("url", "must name one host")
    return url


def _read_secret(table: Table, key: str, environ: Mapping[str, str]) -> bytes:
    """Return a secret's bytes. What it holds is in no mistake."""
    text = table.text(key, wanted=_SECRET_WANTED)
    if not text:
        return b""
    try:
        filled = fill_in(text, environ)
        secret = base64.b64decode(filled.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        secret, filled = b"", ""
    except ValueError as error:
        table.mistake(key, str(error))
        return b""
    if (
        not filled.startswith(SECRET_PREFIX)
        or not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX
    ):
        table.mistake(key, f"must be {_SECRET_WANTED}")
    return secret


def _read_topics(table: Table) -> tuple[str, ...]:
    value = table.value("topics")
    if value is None:
        table.missing("topics", _TOPICS_WANTED)
    elif not isinstance(value, list) or not value:
        table.mistake("topics", f"must be {_TOPICS_WANTED} (got {shown(value)})")
    else:
        return tuple(_known_topics(table, value))
    return ()


def _known_topics(table: Table, values: Sequence[object]) -> list[str]:
    found: list[str] = []
    for value in values:
        if not isinstance(value, str) or value not in TOPICS:
            hint = nearest(value, TOPICS) if isinstance(value, str) else _TOPICS_WANTED
            table.mistake("topics", f"cannot name {shown(value)}: {hint}")
        elif value in found:
            table.mistake("topics", f"name {shown(value)} twice")
        else:
            found.append(value)
    return found
