"""A server shaped like creditd's wire, a line to it that breaks, and callers on real sockets."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import uvicorn
from creditd_client import AsyncCredits
from creditd_client.asgi import App, Message, Receive, Scope, Send

ACCOUNT = "acct_0000000000001"
API_KEY = "ck_test"
PRICES = {"chat": Decimal(12), "free": Decimal(0)}
HANG_UP_SECONDS_MAX = 5  # the loopback tells the server at once

# What the line does with one request instead of passing it on.
Fault = Callable[[App, Scope, Receive, Send], Any]


async def passes(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing befalls the request."""
    await app(scope, receive, send)


async def lost_before(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
    """The connection breaks before creditd has read the request."""
    await _break(send)


async def lost_after(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """creditd does what it was asked, and the connection breaks before its answer is out."""

    async def swallow(_message: Message) -> None: ...

    await app(scope, receive, swallow)
    await _break(send)


def answers(status: int, body: bytes = b"{}", **headers: str) -> Fault:
    """Something else answers."""

    async def fault(_app: App, _scope: Scope, _receive: Receive, send: Send) -> None:
        await reply(send, status, body, {k.replace("_", "-"): v for k, v in headers.items()})

    return fault


def slow(seconds: float) -> Fault:
    async def fault(app: App, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(seconds)
        await app(scope, receive, send)

    return fault


async def _break(send: Send) -> None:
    # An answer that ends before its length: the server closes the connection.
    headers = [(b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


@dataclass
class Line:
    """The way to creditd. Each fault befalls one request, in order; then requests pass."""

    app: App
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(f"{scope['method']} {scope['path']}")
        self.keys += [v.decode() for k, v in scope["headers"] if k == b"idempotency-key"]
        if self.faults:
            await self.faults.popleft()(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass
class StandIn:
    """The books of one account. `age` is how long ago the charges made now seem to be made."""

    available: Decimal = Decimal(100)
    pending: Decimal = Decimal(0)
    age: timedelta = timedelta(0)
    budget_left: Decimal | None = None  # of a member
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if headers[b"authorization"] != f"Bearer {API_KEY}".encode():
            await self._refuse(send, 401, "unauthenticated")
            return
        key = headers.get(b"idempotency-key", b"").decode()
        match scope["method"], scope["path"].split("/")[2:]:
            case "POST", ["charges"]:
                await self._charge(send, key, json.loads(await _body(receive)))
            case "POST", ["charges", charge_id, "refund"]:
                await self._refund(send, key, charge_id, json.loads(await _body(receive)))
            case "GET", ["charges", charge_id]:
                await _reply_json(send, 200, self._charge_named(charge_id))
            case "GET", ["accounts", account, "balance"]:
                amounts = {"available": str(self.available), "pending": str(self.pending)}
                await _reply_json(send, 200, {"account": account, **amounts, "debt": "0"})
            case _:
                await self._refuse(send, 404, "not-found")

    def _charge_named(self, charge_id: str) -> dict[str, Any]:
        (charge,) = (charge for charge in self.charges.values() if charge["id"] == charge_id)
        given = sum(Decimal(r["amount"]) for r in self.refunds.values() if r["charge"] == charge_id)
        return {**charge, "refunded": str(given)}

    async def _charge(self, send: Send, key: str, asked: dict[str, Any]) -> None:
        if key in self.charges:
            charge = self.charges[key]
            if charge["operation"] != asked["operation"]:
                await self._refuse(send, 422, "idempotency-key-reused")
            else:
                await _reply_json(send, 201, charge, {"idempotent-replayed": "true"})
            return
        if key in self.refunds:
            await self._refuse(send, 422, "idempotency-key-reused")
            return
        if asked["operation"] not in PRICES:
            await self._refuse(send, 422, "unknown-operation")
            return
        cost = PRICES[asked["operation"]] * asked["units"]
        if self.budget_left is not None and cost > self.budget_left:
            amounts = {"required": str(cost), "left": str(self.budget_left)}
            await self._refuse(send, 402, "over-budget", amounts)
            return
        if cost > self.available:
            await self._refuse_unpaid(send, cost)
            return
        self.available -= cost
        self.charges[key] = {
            "id": f"chg_{len(self.charges)}",
            **asked,
            "price_version": 1,
            "cost": str(cost),
            "available": str(self.available),
            "at": (datetime.now(UTC) - self.age).isoformat(),
        }
        await _reply_json(send, 201, self.charges[key])

    async def _refund(self, send: Send, key: str, charge_id: str, asked: dict[str, Any]) -> None:
        if key in self.refunds:
            await _reply_json(send, 200, self.refunds[key], {"idempotent-replayed": "true"})
            return
        if key in self.charges:
            await self._refuse(send, 422, "idempotency-key-reused")
            return
        charge = self._charge_named(charge_id)
        left = Decimal(charge["cost"]) - Decimal(charge["refunded"])
        amount = Decimal(asked["amount"]) if "amount" in asked else left
        if amount > left or amount == 0:
            await self._refuse(send, 422, "more-than-taken")
            return
        self.available += amount
        self.refunds[key] = {
            "id": f"rfd_{len(self.refunds)}",
            "charge": charge_id,
            "amount": str(amount),
            "repaid": "0",
            "available": str(self.available),
            "at": datetime.now(UTC).isoformat(),
        }
        await _reply_json(send, 200, self.refunds[key])

    async def _refuse_unpaid(self, send: Send, cost: Decimal) -> None:
        amounts = {
            "required": cost,
            "available": self.available,
            "pending": self.pending,
            "missing": cost - self.available,
        }
        headers = {
            "cache-control": "no-store",
            "retry-after": "15",
            "credits-balance": str(self.available),
            "credits-cost": str(cost),
            "x-internal": "creditd-7",
        }
        members = {name: str(value) for name, value in amounts.items()}
        await self._refuse(send, 402, "insufficient-credits", members, headers)

    async def _refuse(
        self,
        send: Send,
        status: int,
        code: str,
        members: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        problem = {"type": f"/problems/{code}", "title": code, "status": status, "detail": code}
        await _reply_json(send, status, {**problem, **(members or {})}, headers)


async def _reply_json(
    send: Send, status: int, body: object, headers: dict[str, str] | None = None
) -> None:
    await reply(send, status, json.dumps(body).encode(), headers)


async def reply(
    send: Send, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """Answer an ASGI request at once."""
    given = {"content-length": str(len(body)), **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    return body


@dataclass
class Served:
    """An ASGI app behind a real socket."""

    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call_and_hang_up(self, path: str, when: asyncio.Event) -> None:
        """Ask for a path, and break the connection when told; return once the server knows."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: app\r\n\r\n".encode())
        await writer.drain()
        await when.wait()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(HANG_UP_SECONDS_MAX):
            while self.server.server_state.connections:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0.001)


class _Server(uvicorn.Server):
    """Uvicorn that stops when told instead of looking every 0.1 s whether it should."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stop.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(app: App) -> AsyncIterator[Served]:
    """Serve an ASGI app on a port of the loopback."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield Served(listening.getsockname()[1], server)
        finally:
            server.stop.set()
            await serving


@asynccontextmanager
async def line_to(
    books: StandIn, *faults: Fault, timeout_seconds: float = 3
) -> AsyncIterator[tuple[AsyncCredits, Line]]:
    line = Line(books)
    line.faults.extend(faults)
    async with (
        served(line) as creditd,
        AsyncCredits(creditd.url, API_KEY, timeout_seconds=timeout_seconds) as purse,
    ):
        yield purse, line
