"""An operator's port beside the API, both on free ports, and a client of each."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop
from live_api import LiveApi, enter_prices

from api.endpoints import PUBLIC_ENDPOINTS
from api.identity.keys import new_api_key
from api.metrics import Metrics
from api.operating.replays import RunReplay
from api.serve import listening, operator_listening
from ledger.api_key_terms import ApiKeyTerms
from ledger.api_keys import Secret
from ledger.operating import Operating
from ledger.scopes import OPERATOR_SCOPES


def operator_key(database_url: str, scopes: Sequence[str] = tuple(OPERATOR_SCOPES)) -> str:
    """Enter a new API key of an operator's in the books."""
    key = new_api_key()

    async def enter() -> None:
        async with Operating.open(database_url) as operating:
            await operating.create_api_key(
                ApiKeyTerms(scopes), Secret(key.digest, key.hint), kind="operator"
            )

    asyncio.run(enter())
    return key.text


@dataclass(frozen=True)
class Ports:
    public: LiveApi
    operator: LiveApi


@contextmanager
def both_ports(database_url: str, replay: RunReplay | None = None) -> Iterator[Ports]:
    """Serve the API and the operator's port as `creditd serve` does, from a loop in a thread.

    Logs that are set aside are decoded again by `replay`, or not at all.
    """
    asyncio.run(enter_prices(database_url))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        urls: list[str] = []
        started, stop = threading.Event(), asyncio.Event()

        async def serve() -> None:
            metrics = Metrics()
            at: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "metrics": metrics}
            try:
                async with (
                    listening(
                        database_url, **at, endpoints=PUBLIC_ENDPOINTS, drain_seconds=0
                    ) as public,
                    operator_listening(database_url, **at, replay=replay) as operator,
                ):
                    urls.extend((public, operator))
                    started.set()
                    await stop.wait()
            finally:
                started.set()

        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        started.wait()
        try:
            with LiveApi(urls[0], database_url) as public, LiveApi(urls[1], database_url) as desk:
                desk.default_key = operator_key(database_url)
                yield Ports(public, desk)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
