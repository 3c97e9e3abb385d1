"""A metered request that is cancelled at each thing it waits for in turn: the books are right."""

import asyncio
from collections.abc import Coroutine, Generator
from decimal import Decimal
from typing import Any, Literal

import pytest
from creditd_client.asgi import Message, Scope
from streaming_app import stall
from till import EARNED, NONE, till

# A request has some ten points; the bound is for a request that never ends.
POINTS_MAX = 60
POINTS_MIN = 4
USED = Decimal(2)


class Struck:
    """Some work that is cancelled at its `at`-th wait, and how many waits it had."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int) -> None:
        self.points = 0
        self._work = work
        self._at = at

    def __await__(self) -> Generator[Any, Any, None]:
        step, given = self._work.send, None
        while True:
            try:
                waited_for = step(given)
            except StopIteration:
                return
            self.points += 1
            if self.points == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()  # it hears of it at this very wait
            try:
                step, given = self._work.send, (yield waited_for)
            except BaseException as thrown:  # noqa: BLE001 - it goes on into the work
                step, given = self._work.throw, thrown


class Caller:
    """A server's two sides of one request, and what of the answer came out."""

    def __init__(self, path: str) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        self.began = False
        self.complete = False

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.began = True
        await asyncio.sleep(0)
        is_body = message["type"] == "http.response.body"
        self.complete = is_body and not message.get("more_body", False)
        await asyncio.sleep(0)


async def struck(work: Coroutine[Any, Any, None], at: int) -> int:
    """Cancel some work at its `at`-th wait; return how many it had."""
    struck = Struck(work, at)

    async def main() -> None:
        await struck

    await asyncio.wait({asyncio.create_task(main())})
    return struck.points


@pytest.mark.parametrize("mode", ["before", "up to"])
@pytest.mark.parametrize("path", ["/uses-4", "/fails"])
def test_wherever_a_request_is_cancelled_it_is_paid_once_answered_and_else_not(
    database_url: str, mode: Literal["before", "up to"], path: str
) -> None:
    async def main() -> None:
        async with stall(database_url, mode=mode) as s:
            taken = NONE
            for at in range(1, POINTS_MAX):
                caller = Caller(path)
                points = await struck(s.metering(caller.scope, caller.receive, caller.send), at)
                available, held = await s.till.has()
                assert held == 0, f"point {at}"
                paid = EARNED - available - taken
                if path == "/fails" or not caller.began:
                    assert paid == 0, f"point {at}"
                elif caller.complete:
                    assert paid == USED, f"point {at}"
                taken += paid
                if points < at:
                    break
            else:
                raise AssertionError(f"more than {POINTS_MAX} points")
            assert at > POINTS_MIN
            assert s.lost == []

    asyncio.run(main())


def test_wherever_work_is_cancelled_nothing_stays_held(database_url: str) -> None:
    async def main() -> None:
        async with till(database_url) as t, t.client("async") as purse:

            async def work() -> None:
                async with purse.reserve(t.account, "tokens", 4, expires_in=60) as held:
                    worked.append(True)
                    await asyncio.sleep(0)
                    await held.settle(Decimal("0.1"))

            taken = NONE
            for at in range(1, POINTS_MAX):
                worked = list[bool]()
                points = await struck(work(), at)
                available, held = await t.has()
                assert held == 0, f"point {at}"
                assert EARNED - available - taken in ({0, Decimal("0.1")} if worked else {0})
                taken = EARNED - available
                if points < at:
                    break
            else:
                raise AssertionError(f"more than {POINTS_MAX} points")
            assert taken > 0

    asyncio.run(main())
