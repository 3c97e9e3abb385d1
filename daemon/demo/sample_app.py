"""An app that sells two operations. It knows its customers; `Metering` charges them.

    POST /thumbnail
    POST /report
    Authorization: Bearer <the customer's token>
    Idempotency-Key: <a new one for each request, the same one for its retry>

Its first report fails, as such things do.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import uvicorn
from creditd_client import AsyncCredits, Metered, Metering, caller_key
from creditd_client.asgi import App, Receive, Scope, Send

from daemon.demo.terms import REPORT, THUMBNAIL

STOP_SECONDS: Final = 1  # requests here take milliseconds
_OPERATIONS: Final = MappingProxyType({f"/{name}": name for name in (THUMBNAIL, REPORT)})


class SampleApp:
    """The app itself, as any ASGI app. `customers` are accounts at creditd by their tokens."""

    def __init__(self, customers: Mapping[str, str]) -> None:
        self._customers = customers
        self._reports = 0

    def price(self, scope: Scope) -> Metered | None:
        """Say what a request costs and whom; None for one that the app turns away itself."""
        account = self._customers.get(_token(scope))
        operation = _OPERATIONS.get(scope["path"])
        if account is None or operation is None or scope["method"] != "POST":
            return None
        return Metered(account, operation, key=caller_key(scope))

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer a request."""
        operation = _OPERATIONS.get(scope["path"])
        if operation is None:
            await _reply(send, HTTPStatus.NOT_FOUND, "POST to /thumbnail or /report")
        elif scope["method"] != "POST":
            await _reply(send, HTTPStatus.METHOD_NOT_ALLOWED, f"POST to {scope['path']}")
        elif _token(scope) not in self._customers:
            await _reply(send, HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer and your token")
        elif operation == REPORT and self._is_first_report():
            await _reply(send, HTTPStatus.INTERNAL_SERVER_ERROR, "the report came to nothing")
        else:
            await _reply(send, HTTPStatus.OK, f"here is your {operation}")

    def _is_first_report(self) -> bool:
        self._reports += 1
        return self._reports == 1


@asynccontextmanager
async def selling(
    customers: Mapping[str, str], *, creditd_url: str, api_key: str
) -> AsyncIterator[str]:
    """Run the app, metered by creditd, on a free loopback port; give its URL."""
    app = SampleApp(customers)
    async with AsyncCredits(creditd_url, api_key) as purse:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            async with _serving(Metering(app, credits=purse, price=app.price), listener):
                yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _serving(app: App, listener: socket.socket) -> AsyncIterator[None]:
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the demo has one already."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _token(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = bytes(value).decode("latin-1").partition(" ")
            return token.strip() if kind.lower() == "bearer" else ""
    return ""


async def _reply(send: Send, status: HTTPStatus, said: str) -> None:
    body = json.dumps({"status": status.value, "says": said}).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
