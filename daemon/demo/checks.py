"""What the demo expects, held against what it finds. The first difference ends it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

# A block, a turn of the watcher and a request take well under a second; a busy machine gets more.
AWAIT_SECONDS_MAX: Final = 20
POLL_SECONDS: Final = 0.05  # soon enough that nobody sees the difference

T = TypeVar("T")


class StepFailed(Exception):
    """Something was not as it should be. `expected` and `found` are for people to compare."""

    def __init__(self, step: str, what: str, *, expected: object, found: object) -> None:
        super().__init__(f"{step}: {what}: expected {expected}, found {found}")
        self.step = step
        self.what = what
        self.expected = str(expected)
        self.found = str(found)


class Checks:
    """Comparisons, counted. `step` names what is being done, for whoever reads of a failure."""

    def __init__(self) -> None:
        self.step = "setting up"
        self.made = 0

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

        Raises StepFailed after AWAIT_SECONDS_MAX, with the last answer.
        """
        ends = time.monotonic() + AWAIT_SECONDS_MAX
        answer = await ask()
        while not accept(answer):
            if time.monotonic() > ends:
                raise StepFailed(
                    self.step, what, expected=f"this within {AWAIT_SECONDS_MAX} s", found=answer
                )
            await asyncio.sleep(POLL_SECONDS)
            answer = await ask()
        self.made += 1
        return answer
