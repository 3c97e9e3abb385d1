"""An app that streams tokens behind `Metering`, creditd itself behind a line, and its callers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import httpx2
from creditd_client import (
    AsyncCredits,
    LostRefund,
    LostSettlement,
    Meter,
    Metered,
    MeteredUpTo,
    Metering,
    Passed,
    caller_key,
    metered,
)
from creditd_client.asgi import Receive, Scope, Send
from standin import Served, reply, served
from till import Till, till

MOST = 10  # tokens: 5 credits are held


def _use_4(meter: Meter) -> None:
    meter.add(1)
    meter.add(3)


USES: dict[str, Callable[[Meter], None]] = {
    "/uses-4": _use_4,
    "/uses-30": lambda meter: meter.used(30),
    "/uses-none": lambda meter: meter.used(0),
    "/costs-3": lambda meter: meter.settle(Decimal(3)),
    "/costs-a-trifle": lambda meter: meter.settle(Decimal("1e-9")),
    "/costs-30": lambda meter: meter.settle(Decimal(30)),
    "/fails": lambda meter: meter.used(4),
    "/says-nothing": lambda _meter: None,
}


@dataclass
class Tokens:
    """An app whose paths stream, fail and report what they use in every way that matters."""

    runs: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.runs += 1
        meter = metered(scope)
        said = USES.get(scope["path"])
        if said is not None:
            said(meter)
            await reply(send, 500 if scope["path"] == "/fails" else 200)
            return
        match scope["path"]:
            case "/raises":
                meter.used(4)
                raise LookupError("the app fails")
            case "/breaks-off":
                await self._begin(send)
                meter.used(4)
                raise LookupError("the app fails")
            case "/streams-4" | "/streams":
                await self._stream(scope, send)
            case "/notices" | "/notices-4":
                if scope["path"] == "/notices-4":
                    meter.used(4)
                self.began.set()
                while (await receive())["type"] != "http.disconnect":
                    pass

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def _stream(self, scope: Scope, send: Send) -> None:
        """Stream half an answer, and when told the rest, or fail for want of a listener."""
        await self._begin(send)
        if scope["path"] == "/streams-4":
            metered(scope).used(4)
        self.began.set()
        await self.go_on.wait()
        if scope["query_string"] == b"gone":
            raise ConnectionError("nobody there to stream to")
        await send({"type": "http.response.body", "body": b"and half"})


@dataclass
class Stall:
    """The app behind `Metering`, and what it could not tell creditd."""

    till: Till
    app: Tokens
    metering: Metering
    lost: list[LostRefund | LostSettlement]
    served: Served | None = None
    _under_way: int = 0
    _over: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and know when it is over."""
        self._under_way += 1
        try:
            await self.metering(scope, receive, send)
        finally:
            self._under_way -= 1
            async with self._over:
                self._over.notify_all()

    async def has(self) -> tuple[Decimal, Decimal]:
        """What is available and held once no request is under way."""
        async with self._over:
            await self._over.wait_for(lambda: self._under_way == 0)
        return await self.till.has()

    @property
    def web(self) -> Served:
        """The app's own socket."""
        assert self.served is not None
        return self.served

    async def get(self, path: str, key: str | None = None) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        async with httpx2.AsyncClient(base_url=self.web.url) as http:
            return await http.get(path, headers=headers)


@asynccontextmanager
async def stall(
    database_url: str,
    *,
    mode: Literal["up to", "before"] = "up to",
    expires_in: int = 60,
    minimum: Decimal = Decimal(0),
    over_max: Decimal = Decimal(0),
    max_units: int = MOST,
    timeout_seconds: float = 3,
    passed: Callable[[Passed], None] | None = None,
    pass_after_seconds: float = 1,
) -> AsyncIterator[Stall]:
    app, lost = Tokens(), list[LostRefund | LostSettlement]()
    async with (
        till(database_url) as t,
        AsyncCredits(t.line.url, t.api_key, timeout_seconds=timeout_seconds) as purse,
    ):

        def price(scope: Scope) -> Metered | MeteredUpTo:
            key = caller_key(scope)
            if mode == "before":
                return Metered(t.account, "tokens", 4, key=key)
            return MeteredUpTo(
                t.account,
                "tokens",
                max_units,
                key=key,
                expires_in=expires_in,
                minimum=minimum,
                over_max=over_max,
            )

        metering = Metering(
            app,
            credits=purse,
            price=price,
            on_lost_refund=lost.append,
            on_lost_settlement=lost.append,
            on_unavailable="refuse" if passed is None else "pass",
            passed=passed,
            pass_after_seconds=pass_after_seconds,
        )
        made = Stall(t, app, metering, lost)
        async with served(made) as made.served:
            yield made
