"""What becomes of a request that ends before its answer does."""

import asyncio
from typing import Any

import pytest
from creditd_client import Metering
from creditd_client.asgi import Message
from creditd_client.metering.exchange import Exchange
from shop import shop
from standin import slow


async def call(app: Metering, path: str, *, broken: bool = False) -> None:
    """Call an ASGI app in this very task, from a server that may have lost its caller."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if broken and message["type"] == "http.response.body":
            raise BrokenPipeError

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)


async def cancel_often(task: asyncio.Task[Any]) -> None:
    """Cancel a task as one that is told again and again, and see that it gives in."""
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_request_cancelled_while_it_runs_is_given_back() -> None:
    async def main() -> None:
        async with shop() as s:
            running = asyncio.create_task(call(s.metering, "/waits"))
            await s.app.began.wait()
            s.line.faults.append(slow(0.1))
            await cancel_often(running)
            assert s.given_back()

    asyncio.run(main())


def test_a_request_cancelled_while_it_pays_is_given_back() -> None:
    async def main() -> None:
        async with shop(slow(0.1)) as s:
            paying = asyncio.create_task(call(s.metering, "/status/200"))
            while not s.line.requests:  # noqa: ASYNC110 - the line has no event for it
                await asyncio.sleep(0.001)
            await cancel_often(paying)
            assert s.given_back()
            assert s.app.runs == 0

    asyncio.run(main())


def test_a_request_cancelled_within_its_answer_is_paid() -> None:
    async def main() -> None:
        async with shop() as s:
            running = asyncio.create_task(call(s.metering, "/streams"))
            await s.app.began.wait()
            await cancel_often(running)
            assert s.books.refunds == {}

    asyncio.run(main())


def test_an_app_that_stumbles_over_a_caller_gone_is_paid() -> None:
    async def main() -> None:
        async with shop() as s:
            with pytest.raises(BrokenPipeError):
                await call(s.metering, "/status/200", broken=True)
            assert s.books.charges
            assert s.books.refunds == {}

    asyncio.run(main())


def test_an_app_that_stops_waiting_for_a_message_gets_it_the_next_time() -> None:
    async def main() -> None:
        messages: asyncio.Queue[Message] = asyncio.Queue()

        async def nothing(_message: Message) -> None: ...

        async def ended() -> None: ...

        exchange = Exchange(messages.get, nothing, nothing, ended)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await exchange.receive()
        await messages.put({"type": "http.request", "body": b"late", "more_body": True})
        assert (await exchange.receive())["body"] == b"late"
        await messages.put({"type": "http.request", "body": b"last", "more_body": False})
        await messages.put({"type": "http.disconnect"})
        assert (await exchange.receive())["body"] == b"last"
        for _ in range(2):
            assert (await exchange.receive())["type"] == "http.disconnect"
        assert exchange.hung_up
        await exchange.close()

    asyncio.run(main())
