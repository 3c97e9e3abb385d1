"""Being woken by a node's word of a new block: it shortens the wait for the next look at the chain.

Nothing that comes this way is believed, or even read. A socket that is dead, silent or refused
changes nothing but that the chain is looked at when its time has come, as without one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import aiohttp
import structlog

from daemon.configuration.secret_url import SecretUrl

# As often as a chain may be polled at most: whoever calls oftener is not answered more often.
WAKE_SECONDS_MIN: Final = 0.1
# Providers close what is idle after a minute; a ping finds out what has died without a word.
PING_SECONDS: Final = 30.0
CONNECT_SECONDS_MAX: Final = 10.0
PAUSE_SECONDS_MIN: Final = 1.0
PAUSE_SECONDS_MAX: Final = 60.0
MESSAGE_BYTES_MAX: Final = 64 * 1024  # a header has about two thousand

_SUBSCRIBE: Final = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'

log = structlog.get_logger()


class _RedirectedError(aiohttp.ClientError):
    strerror = "it redirects, and nobody follows"


@asynccontextmanager
async def waking(url: SecretUrl, wake: Callable[[], None]) -> AsyncIterator[None]:
    """Call `wake` when a node tells of a new block, at most every WAKE_SECONDS_MIN."""
    task = asyncio.create_task(_listen_for_good(url, wake))
    task.add_done_callback(_tell_defect)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # told already


def _tell_defect(ended: asyncio.Task[None]) -> None:
    if not ended.cancelled() and ended.exception() is not None:
        log.error("listening for new blocks ended", exc_info=ended.exception())


async def _listen_for_good(url: SecretUrl, wake: Callable[[], None]) -> None:
    pause, told = PAUSE_SECONDS_MIN, False
    while True:  # bounded by its pauses, and ended by being cancelled
        began = monotonic()
        trouble = await _listen(url, wake)
        if monotonic() - began > PING_SECONDS:
            pause, told = PAUSE_SECONDS_MIN, False
        if not told:
            log.info("not woken by new blocks", node=str(url), trouble=trouble)
        told = True
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS_MAX)


def _staying() -> aiohttp.TraceConfig:
    """Return what has no redirection followed: `ws_connect` knows no other way to refuse one.

    A node that redirects would choose whom this machine calls, and hand on the secrets of the URL.
    """

    async def refuse(*_: object) -> None:
        raise _RedirectedError

    staying = aiohttp.TraceConfig()
    staying.on_request_redirect.append(refuse)
    return staying


async def _listen(url: SecretUrl, wake: Callable[[], None]) -> str:
    """Listen until the socket ends, and return why it did, without the secrets of the URL."""
    woken_at = 0.0
    try:
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS_MAX),
                trace_configs=[_staying()],
            ) as session,
            session.ws_connect(
                url.reveal(), heartbeat=PING_SECONDS, max_msg_size=MESSAGE_BYTES_MAX
            ) as socket,
        ):
            await socket.send_str(_SUBSCRIBE)
            async for _ in socket:
                if monotonic() - woken_at >= WAKE_SECONDS_MIN:
                    woken_at = monotonic()
                    wake()
            return f"the socket was closed (code {socket.close_code})"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
