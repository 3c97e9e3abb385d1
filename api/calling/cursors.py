"""Cursors of lists: where the next page begins, opaque to whoever sends them back."""

import base64
import re
from collections.abc import Sequence
from typing import TypeVar

from api.problems.refusals import Invalid, Refused
from ledger.requests import BIGINT_MAX

Row = TypeVar("Row")

_POSITION = re.compile(r"([a-z]+) ([1-9][0-9]{0,18})", re.ASCII)


def paged(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """Return the rows of a page, and the last of them if there are more than `limit`.

    Whoever asks for one row more than a page has knows whether there is a next page.
    """
    page = rows[:limit]
    return page, page[-1] if len(rows) > limit else None


def format_cursor(list_name: str, place: int | str) -> str:
    """Return a place in a list, by number (positive) or name, as text for a URL."""
    return base64.urlsafe_b64encode(f"{list_name} {place}".encode()).decode().rstrip("=")


def parse_cursor(list_name: str, text: str) -> int:
    """Return the position in this list that a cursor names. Raises Refused if it names none."""
    position = _POSITION.fullmatch(_decoded(text))
    if position is None or position[1] != list_name or int(position[2]) > BIGINT_MAX:
        raise no_cursor(list_name)
    return int(position[2])


def parse_name_cursor(list_name: str, text: str) -> str:
    """Return the name in this list that a cursor names. Raises Refused if it names none."""
    found, _, name = _decoded(text).partition(" ")
    # Postgres knows no text with a zero in it.
    if found != list_name or not name or "\0" in name:
        raise no_cursor(list_name)
    return name


def _decoded(text: str) -> str:
    """Return what a cursor was made of, or nothing if it was made of nothing."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return raw.decode()
    except ValueError:  # binascii's and Unicode's are both of this kind
        return ""


def no_cursor(list_name: str) -> Refused:
    """Return the refusal of a cursor that is none of this list."""
    message = f"is no cursor of {list_name}: send `next_cursor` of the page before, or none"
    return Refused(Invalid("cursor", message))
