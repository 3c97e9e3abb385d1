"""The origin that people know the API by."""

import ipaddress
import re
from typing import Final

from daemon.configuration.mistakes import shown
from daemon.configuration.toml_reader import Table

PORT_MAX: Final = 65_535

_WANTED: Final = (
    'an origin as browsers name it, such as "https://credits.example": scheme, host in small'
    " letters and, unless it is the scheme's own, port; nothing after it"
)
_ORIGIN: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.ASCII,
)
_OWN_PORTS: Final = {"http": 80, "https": 443}


def read_public_url(table: Table, key: str) -> str | None:
    """Return an origin, None if the key is missing."""
    if table.value(key) is None:
        return None
    text = table.text(key, wanted=_WANTED)
    if not table.sound(key):
        return None
    found = _ORIGIN.fullmatch(text)
    if found is None or not _is_host(found["host"]):
        table.mistake(key, f"must be {_WANTED} (got {shown(text)})")
        return None
    port = None if found["port"] is None else int(found["port"])
    if port is not None and (port > PORT_MAX or port == _OWN_PORTS[found["scheme"]]):
        table.mistake(
            key,
            f"must not name port {port}: browsers leave out 443 of https and 80 of http, and"
            f" {PORT_MAX} is the last there is",
        )
    if found["scheme"] == "http" and not _is_this_machine(found["host"]):
        table.mistake(
            key,
            "must begin with https://: browsers keep a session's cookie for nothing else but this"
            " machine (localhost)",
        )
    return text


def _is_host(text: str) -> bool:
    """Whether it is an address as browsers write it, or a name."""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return "[" not in text and not re.fullmatch(r"[0-9.]+", text)
    return text == (f"[{address}]" if address.version == 6 else str(address))  # noqa: PLR2004


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
