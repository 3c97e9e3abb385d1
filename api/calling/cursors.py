"""Cursors of lists: where the next page begins, opaque to whoever sends them back."""

import base64
import re
from typing import Final

from api.problems.refusals import Invalid, Refused

POSITION_MAX: Final = 2**63 - 1  # the books' numbers are bigints

_POSITION = re.compile(r"([a-z]+) ([1-9][0-9]{0,18})", re.ASCII)


def format_cursor(list_name: str, position: int) -> str:
    """Return a position in a list (positive) as text for a URL."""
    return base64.urlsafe_b64encode(f"{list_name} {position}".encode()).decode().rstrip("=")


def parse_cursor(list_name: str, text: str) -> int:
    """Return the position in this list that a cursor names. Raises Refused if it names none."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        position = _POSITION.fullmatch(raw.decode("ascii"))
    except ValueError:  # binascii's and Unicode's are both of this kind
        position = None
    if position is None or position[1] != list_name or int(position[2]) > POSITION_MAX:
        message = f"is no cursor of {list_name}: send `next_cursor` of the page before, or none"
        raise Refused(Invalid("cursor", message))
    return int(position[2])
