"""A receiver of webhooks that checks and keeps what it is told, and misbehaves on request."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = bytes(range(32))


@dataclass
class Told:
    """A request as it came: its headers, its body and the signatures that its body has."""

    message_id: str
    timestamp: int
    signatures: list[str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def is_signed_with(self, key: bytes) -> bool:
        """As the receiver's side of Standard Webhooks says."""
        signed = b"%s.%d.%s" % (self.message_id.encode(), self.timestamp, self.body)
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(f"v1,{wanted}", given) for given in self.signatures)


@dataclass
class Town:
    """Where a receiver stands. `answers` are used up first, then every one is `answer`."""

    url: str = ""
    answer: int = 204
    answers: deque[int] = field(default_factory=deque)
    refused: set[str] = field(default_factory=set)  # accounts whose messages get a 422
    headers: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    elsewhere: int = 0  # requests to where a redirect leads
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = Told(
            message_id=request.headers["webhook-id"],
            timestamp=int(request.headers["webhook-timestamp"]),
            signatures=request.headers["webhook-signature"].split(" "),
            body=body,
        )
        self.told.append(told)
        self._came.set()
        answer = self.answers.popleft() if self.answers else self.answer
        if told.said["data"].get("account") in self.refused:
            answer = 422
        return web.Response(status=answer, headers=self.headers)

    async def redirected(self, _request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(status=204)

    async def hears(self, count: int, seconds_max: float = 10) -> list[Told]:
        """The first so many requests, once they have come."""
        async with asyncio.timeout(seconds_max):
            while len(self.told) < count:
                self._came.clear()
                await self._came.wait()
        return self.told[:count]


@asynccontextmanager
async def receiving() -> AsyncIterator[Town]:
    town = Town()
    app = web.Application()
    app.router.add_post("/hook", town.hear)
    app.router.add_route("*", "/elsewhere", town.redirected)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        town.url = f"http://{host}:{port}/hook"
        yield town
    finally:
        await runner.cleanup()
