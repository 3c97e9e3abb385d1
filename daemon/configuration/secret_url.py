"""Addresses that carry a password or an API key, kept out of logs and error messages."""

import re
from collections.abc import Mapping
from typing import Final

# One or more hosts, each with a port or without (libpq takes several, comma-separated).
_HOSTS: Final = re.compile(
    r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:,(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)*",
    re.ASCII,
)
_SHAPE: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^@/?#]*@)?(?P<hosts>[^@/?#]*)(?P<rest>[/?#][^@]*)?",
    re.ASCII,
)

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE: Final = re.compile(rf"\$(?:\{{(?P<braced>{_NAME})\}}|(?P<bare>{_NAME}))?", re.ASCII)


class SecretUrl:
    """An address of a node or a database. Only its scheme and host are ever shown.

    `str()` and `repr()` leave out user, password, path and query; `reveal()` is the whole text,
    for the one place that opens the connection. Raises ValueError, without the text, if user,
    host and path cannot be told apart for certain.
    """

    __slots__ = ("_text", "hosts", "scheme")

    scheme: str
    hosts: str
    _text: str

    def __init__(self, text: str) -> None:
        shape = _SHAPE.fullmatch(text)
        if shape is None or not text.isprintable() or " " in text:
            raise ValueError(
                "is not an address such as scheme://user:password@host:port/path;"
                " in a user, password or path write %40 for @, %2F for /, %3F for ?, %23 for #"
            )
        hosts = shape["hosts"]
        if hosts and _HOSTS.fullmatch(hosts) is None:
            raise ValueError("has a host that is no name, no IPv4 address and no [IPv6] address")
        self.scheme = shape["scheme"]
        self.hosts = hosts
        self._text = text

    def reveal(self) -> str:
        """Return the address with its secrets."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"SecretUrl('{self}')"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.hosts}/…"


def fill_in(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with `$NAME` and `${NAME}` replaced by the environment's values.

    A value is taken as it stands: dollars in it mean nothing. Raises ValueError for a variable
    that is not set or empty, and for a dollar without a name.
    """
    missing: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name = match["braced"] or match["bare"]
        if name is None:
            raise ValueError("has a $ that names no environment variable: a dollar itself is %24")
        value = environ.get(name, "")
        if not value:
            # A bare one within other text may be the rest of a password that has a dollar in it.
            sure = match["braced"] or match[0] == text
            missing.append(name if sure else "one of $NAME (write ${NAME} to have it named)")
        return value

    filled = _VARIABLE.sub(replacement, text)
    if missing:
        raise ValueError(
            f"needs environment variables that are not set: {', '.join(missing)};"
            " export them (a dollar itself is written %24)"
        )
    return filled
