"""Calls of the API over connections of their own, whose answers may be lost."""

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from live_api import LiveApi

TRIES_MAX = 200
AGAIN_SECONDS = 0.1

Answer = tuple[int, dict[str, object]]


def charge(api: LiveApi, account: str, key: str, units: int = 100) -> bytes:
    body = {"account": account, "operation": "chat.completion", "units": units}
    return post(api, "/v1/charges", body, f"Idempotency-Key: {key}\r\n")


def in_bulk(api: LiveApi, account: str, keys: Sequence[str]) -> bytes:
    item = {"account": account, "operation": "chat.completion", "units": 100}
    return post(api, "/v1/charges/bulk", {"charges": [{**item, "key": key} for key in keys]})


def post(api: LiveApi, path: str, body: object, header: str = "") -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {api.default_key}\r\n{header}"
        f"Content-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def ask(api: LiveApi, request: bytes) -> Answer | None:
    """Ask over a connection of one's own; None if no whole answer came."""
    writer = None
    try:
        writer = await send(api, request)
        head, _, body = (await writer[0].read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(body)
    except (OSError, IndexError, ValueError):
        return None
    finally:
        if writer is not None:
            writer[1].close()


async def send(api: LiveApi, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    await writer.drain()
    return reader, writer


async def insist(api: LiveApi, request: bytes) -> Answer:
    """Ask until the books have decided."""
    for _ in range(TRIES_MAX):
        answer = await ask(api, request)
        if answer is not None and answer[0] < 500:
            return answer
        await asyncio.sleep(AGAIN_SECONDS)
    raise AssertionError("the books never decide")
