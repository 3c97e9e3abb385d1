"""What the demo expects, held against what it finds. The first difference ends it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Final, TypeVar

# A block, a turn of the watcher and a request take well under a second; a busy machine gets more.
AWAIT_SECONDS_MAX: Final = 20
POLL_SECONDS: Final = 0.05  # soon enough that nobody sees the difference

T = TypeVar("T")


class StepFailed(Exception):
    """Something was not as it should be. `expected` and `found` are for people to compare."""

    def __init__(self, step: str, what: str, *, expected: object, found: object) -> None:
        super().__init__(f"{step}: {what}: expected {_told(expected)}, found {_told(found)}")
        self.step = step
        self.what = what
        self.expected = _told(expected)
        self.found = _told(found)


class Checks:
    """Comparisons, counted. `step` names what is being done, for whoever reads of a failure.

    `ended` says which of the parts ended by themselves, so that nothing is waited for in vain.
    """

    def __init__(self, ended: Callable[[], Sequence[str]]) -> None:
        self.step = "setting up"
        self.made = 0
        self._ended = ended

    def begin(self, step: str) -> None:
        """Say what is done next."""
        self.step = step

    def equal(self, what: str, *, found: object, expected: object) -> None:
        """Require two values to be the same. Raises StepFailed."""
        self.made += 1
        if found != expected:
            raise StepFailed(self.step, what, expected=expected, found=found)

    async def until(
        self, what: str, ask: Callable[[], Awaitable[T]], accept: Callable[[T], bool]
    ) -> T:
        """Ask again and again until the answer is accepted, and return it.

        Raises StepFailed with the last answer after AWAIT_SECONDS_MAX, or once a part has ended.
        """
        ends = time.monotonic() + AWAIT_SECONDS_MAX
        answer = await ask()
        while not accept(answer):
            if time.monotonic() > ends or self._ended():
                raise StepFailed(
                    self.step, what, expected=f"within {AWAIT_SECONDS_MAX} s", found=answer
                )
            await asyncio.sleep(POLL_SECONDS)
            answer = await ask()
        self.made += 1
        return answer


def _told(value: object) -> str:
    match value:
        case None:
            return "none"
        case Decimal():
            return f"{value:f}"
        case IntEnum():
            return str(value.value)
        case tuple() | list() | set():
            return ", ".join(map(_told, value)) or "none"
    return str(value)
