"""A small web shop of operations: an app behind `Metering`, creditd's stand-in, and a caller."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx2
from creditd_client import AsyncCredits, LostRefund, Metered, Metering, Passed, caller_key
from creditd_client.asgi import Receive, Scope, Send
from standin import ACCOUNT, API_KEY, Fault, Line, Served, StandIn, reply, served


@dataclass
class App:
    """An app whose paths behave in every way that matters to who pays for them."""

    runs: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.runs += 1
        self.began.set()
        path = scope["path"].removeprefix("/free")
        if path.startswith("/status/"):
            status = int(path.removeprefix("/status/"))
            await reply(send, status, b"the app's own words", {"x-app": "1"})
        else:
            await self._misbehave(path, receive, send)

    async def _misbehave(self, path: str, receive: Receive, send: Send) -> None:
        match path.removeprefix("/"):
            case "raises":
                raise LookupError("the app fails")
            case "waits":
                await self.go_on.wait()
                await reply(send, 200)
            case "notices":
                while (await receive())["type"] != "http.disconnect":
                    pass
            case "echo":
                await self._echo(receive, send)
            case "breaks-off":
                await self._begin(send)
                raise LookupError("the app fails")
            case "streams":
                await self._begin(send)
                await self.go_on.wait()
                raise LookupError("nobody there to stream to")
            case "fails-then-raises":
                await self._begin(send, 500)
                raise LookupError("the app fails, and then again")
            case "answers-then-raises":
                await reply(send, 200)
                raise LookupError("a task in the background fails")

    async def _begin(self, send: Send, status: int = 200) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def _echo(self, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        await reply(send, 200, body)


def price(scope: Scope) -> Metered | None:
    if scope["path"].startswith("/free/"):
        return None
    metered = Metered(ACCOUNT, "chat", key=caller_key(scope))
    changes: dict[bytes, dict[str, Any]] = {
        b"repeatable": {"repeatable": True},
        b"costs-nothing": {"operation": "free"},
        b"unpriced": {"operation": "paint"},
        b"begun": {"hang_up_pays": "begun"},
        b"received": {"hang_up_pays": "received"},
    }
    return replace(metered, **changes.get(scope["query_string"], {}))


@dataclass
class Shop:
    """An app behind `Metering`, creditd's stand-in, and somebody who calls the app."""

    app: App
    metering: Metering
    books: StandIn
    line: Line
    web: Served
    http: httpx2.AsyncClient
    lost: list[LostRefund]

    async def get(self, path: str, key: str | None = None) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.http.get(path, headers=headers)

    def given_back(self) -> bool:
        """Whether one charge was made, and all of it given back."""
        (charge,) = self.books.charges.values()
        return [refund["amount"] for refund in self.books.refunds.values()] == [charge["cost"]]


@asynccontextmanager
async def shop(
    *faults: Fault,
    available: int = 100,
    on_lost_refund: Callable[[LostRefund], None] | None = None,
    passed: Callable[[Passed], None] | None = None,
) -> AsyncIterator[Shop]:
    app, books, lost = App(), StandIn(available=Decimal(available)), list[LostRefund]()
    line = Line(books)
    line.faults.extend(faults)
    async with served(line) as creditd, AsyncCredits(creditd.url, API_KEY) as purse:
        report = on_lost_refund or lost.append
        metering = Metering(
            app,
            credits=purse,
            price=price,
            on_lost_refund=report,
            on_unavailable="refuse" if passed is None else "pass",
            passed=passed,
        )
        async with served(metering) as web, httpx2.AsyncClient(base_url=web.url) as http:
            yield Shop(app, metering, books, line, web, http, lost)
