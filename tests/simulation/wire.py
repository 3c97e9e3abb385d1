"""How nodes are asked: the daemon's own client, its HTTP exchange kept in memory.

`daemon.chain.rpc` opens an `aiohttp.ClientSession`; here it gets one that hands the request's body
to whoever is behind the host, and gives back what a socket would have: the same status, headers and
bytes, and the same errors where it breaks off.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from fakenode import Answers, Reply, Reset, Silence, Truncated

from simulation.process import point


@contextmanager
def wired(hosts: Mapping[str, Answers]) -> Iterator[None]:
    """Let `http://NAME` of `hosts` be answered in memory; all other URLs as ever."""
    real = aiohttp.ClientSession

    def session(**options: Any) -> object:  # noqa: ANN401 - aiohttp's
        return _Session(hosts, real(**options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp, "ClientSession", session)
        yield


class _Session:
    def __init__(self, hosts: Mapping[str, Answers], real: aiohttp.ClientSession) -> None:
        self._hosts = hosts
        self._real = real

    def post(self, url: str, *, data: bytes, **options: Any) -> object:  # noqa: ANN401 - aiohttp's
        host = self._hosts.get(urlsplit(url).hostname or "")
        if host is None:
            return self._real.post(url, data=data, **options)
        return _Exchange(host, data)

    async def close(self) -> None:
        await self._real.close()


class _Exchange:
    """One request and its response. Nothing waits for a clock: silence ends at once."""

    def __init__(self, host: Answers, data: bytes) -> None:
        self._host = host
        self._data = data

    async def __aenter__(self) -> "_Response":
        await point("ask")
        reply = self._host.reply(self._data)
        await asyncio.sleep(0)
        match reply.cut:
            case Reset():
                raise aiohttp.ServerDisconnectedError
            case Silence():
                raise TimeoutError
        return _Response(reply)

    async def __aexit__(self, *_: object) -> None:
        pass


class _Response:
    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.content = self
        self._reply = reply

    async def iter_any(self) -> AsyncIterator[bytes]:
        body = self._reply.body
        if isinstance(self._reply.cut, Truncated):
            yield body[: len(body) // 2]
            if self._reply.cut.announced:
                raise aiohttp.ClientPayloadError
            return
        yield body
