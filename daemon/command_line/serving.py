"""The API's program: its ports, with what the configuration says of them."""

import asyncio
import gc
from contextlib import AsyncExitStack

import structlog

from api.endpoints import ENDPOINTS, PUBLIC_ENDPOINTS
from api.metrics import Metrics
from api.operating.replays import RunReplay
from api.problems.shortfall import Helps
from api.serve import listening, operator_listening
from daemon.command_line.signing_in import sign_in_terms
from daemon.configuration.config import Config

log = structlog.get_logger()


async def serve(config: Config, url: str, stop: asyncio.Event, replay: RunReplay) -> None:
    """Serve the books behind `url` until `stop` is set. Raises as `api.serve` does.

    On the operator's port, logs that were set aside are decoded again by `replay`.
    """
    operator = config.operator
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        sign_in = await stack.enter_async_context(sign_in_terms(config))
        api_url = await stack.enter_async_context(
            listening(
                url,
                host=config.api.host,
                port=config.api.port,
                lanes=config.api.lanes,
                queue_max=config.api.queue_max,
                rate_limit=config.api.rate_limit,
                helps=Helps(config.api.earn_url, config.api.top_up_url),
                endpoints=ENDPOINTS if operator is None else PUBLIC_ENDPOINTS,
                sign_in=sign_in,
                metrics=metrics,
            )
        )
        if operator is not None:
            operator_url = await stack.enter_async_context(
                operator_listening(
                    url, host=operator.host, port=operator.port, metrics=metrics, replay=replay
                )
            )
            log.info("listening for operators", url=operator_url)
        log.info("listening", url=api_url)
        # What is here now stays: no collection looks at all of it again, on charges' time.
        gc.collect()
        gc.freeze()
        await stop.wait()
