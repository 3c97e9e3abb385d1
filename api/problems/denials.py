"""What goes with a denial, for proxies that pass on a status and headers of theirs, but no body."""

import json
from typing import Final

import msgspec

# A proxy buffers an answer's headers in 4 KiB, and this is one of ten.
PROBLEM_BYTES_MAX: Final = 2_048
DETAIL_LENGTH_MAX: Final = 300
_ALWAYS: Final = ("type", "title", "status", "request_id")


def denial_headers(status: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers that say the problem's own status, and the problem itself as ASCII.

    A problem that is too long for a header is told by the members that every problem has.
    """
    problem = msgspec.json.decode(body)
    text = _ascii(problem)
    if len(text) > PROBLEM_BYTES_MAX:
        detail = str(problem["detail"])[:DETAIL_LENGTH_MAX]
        text = _ascii({**{name: problem[name] for name in _ALWAYS}, "detail": detail})
    return (("Credits-Status", str(status)), ("Credits-Problem", text))


def _ascii(problem: object) -> str:
    # DEL is the one control character that JSON leaves as it is.
    return json.dumps(problem, separators=(",", ":")).replace("\x7f", "\\u007f")
