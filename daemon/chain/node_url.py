"""The URL of a node: what of it may be shown, and what may be a key."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

# Shorter parts of a URL are names such as `v3` or `rpc`, not keys.
SECRET_LENGTH_MIN: Final = 8


def split_node_url(url: str) -> SplitResult:
    """Return the parts of a URL. Raises ValueError where no node can be asked at it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("the URL of a node is http://host:port/… or https://host/…")
    return parts


def endpoint_of(parts: SplitResult) -> str:
    """Return scheme, host and port: what may be shown."""
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port else "")


def secrets_of(parts: SplitResult) -> tuple[str, ...]:
    """Return what may be a key in it, the longest first."""
    named = (parts.username or "", parts.password or "", parts.query, *parts.path.split("/"))
    values = (pair.partition("=")[2] for pair in parts.query.split("&"))
    return tuple(
        sorted({text for text in (*named, *values) if len(text) >= SECRET_LENGTH_MIN}, key=len)
    )[::-1]
