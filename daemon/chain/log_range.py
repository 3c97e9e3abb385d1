"""How many blocks a node is asked for logs of at once: what its refusals teach. Pure.

No two providers refuse in the same words, and they change them. So any refusal makes the range
narrower; where the words say how many blocks are allowed, it is that many from then on.
"""

import re
from typing import Final

BLOCKS_AT_FIRST: Final = 500
BLOCKS_MAX: Final = 1_000  # no reader asks for more
GROWTH: Final = 20  # by a twentieth after each full answer, and by one block at least

_NUMBER: Final = r"(?P<number>\d{1,3}(?:[,.]\d{3})+|\d+)(?P<thousands>[kK])?"
_FROM_TO: Final = r"\[\s*0x(?P<first>[0-9a-fA-F]{1,16})\s*,\s*0x(?P<last>[0-9a-fA-F]{1,16})\s*\]"
# Each says how many blocks would be allowed, or which. What providers say that names another
# number (of results, of bytes) is not here.
_ALLOWED: Final = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        rf"try with this block range {_FROM_TO}",
        rf"this block range should work: {_FROM_TO}",
        rf"limited to a {_NUMBER}",
        rf"limited to {_NUMBER} block",
        rf"max range: {_NUMBER}",
        rf"maximum is set to {_NUMBER}",
        rf"maximum allowed number of requested blocks is {_NUMBER}",
        rf"exceeds the range allowed for your plan \(\d+ > {_NUMBER}\)",
        rf"limit the query to at most {_NUMBER} blocks",
        rf"maximum block range: {_NUMBER}",
        rf"exceeds? (?:the )?max(?:imum)? block range:? {_NUMBER}",
        rf"block range exceeds {_NUMBER}",
        rf"blocks distance: {_NUMBER}",
        rf"must be smaller than size {_NUMBER}",
        rf"up to a {_NUMBER} block range",
        rf"block range greater than {_NUMBER} max",
        rf"too wide \(maximum {_NUMBER}\)",
        rf"max is {_NUMBER} blocks",
        rf"ranges over {_NUMBER} blocks",
    )
)
# Said with the code of a rate limit too, which else speaks of the caller's pace alone.
_TOO_MUCH: Final = re.compile(
    r"block range|max results|more than \d+ results|matched by query|(?:response|backend).*"
    r"(?:size|large)|healthy",
    re.IGNORECASE,
)
# The node has not come so far yet: fewer blocks would not help.
_BEYOND_HEAD: Final = re.compile(
    r"beyond (?:the )?(?:current |latest )?(?:head|block)|BlockOutOfRange|greater than (?:the )?"
    r"latest|unknown block|header not found",
    re.IGNORECASE,
)


def blocks_allowed(said: str) -> int | None:
    """Return how many blocks a refusal says are allowed, None if it does not say."""
    for words in _ALLOWED:
        found = words.search(said)
        if found is None:
            continue
        names = found.groupdict()
        if names.get("first") is not None:
            return int(names["last"], 16) - int(names["first"], 16) + 1
        digits = re.sub("[,.]", "", names["number"])
        return int(digits[:12]) * (1_000 if names["thousands"] else 1)
    return None


def says_too_much(said: str) -> bool:
    """Return whether a refusal speaks of how much was asked for."""
    return blocks_allowed(said) is not None or _TOO_MUCH.search(said) is not None


def says_beyond_head(said: str) -> bool:
    """Return whether a refusal speaks of blocks that the node does not have."""
    return _BEYOND_HEAD.search(said) is not None


class LogRange:
    """How many blocks one node is asked for logs of at once, 1 to BLOCKS_MAX: `blocks`.

    What it said to be its limit is kept as long as the program runs.
    """

    def __init__(self) -> None:
        self.blocks = BLOCKS_AT_FIRST
        self._allowed = BLOCKS_MAX

    def refused(self, asked: int, said: str) -> bool:
        """Learn from a refusal of so many blocks. Returns False if fewer cannot be asked for."""
        allowed = blocks_allowed(said)
        if allowed is not None and 1 <= allowed < asked:
            self._allowed = min(self._allowed, allowed)
            self.blocks = min(self.blocks, allowed)
        else:
            self.blocks = max(1, min(self.blocks, asked // 2))
        return asked > 1

    def answered(self, asked: int) -> None:
        """Ask for a little more next time, if the node answered as much as it is asked for."""
        if asked >= self.blocks:
            more = max(1, self.blocks // GROWTH)
            self.blocks = min(self._allowed, self.blocks + more)
