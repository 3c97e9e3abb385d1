"""The commands that look after receivers."""

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from daemon.command_line.command_parts import count_of
from daemon.command_line.configured import config_of
from daemon.command_line.receivers_status import receivers_as_json, receivers_as_text
from daemon.configuration.mistakes import nearest
from daemon.processes.postgres import database
from ledger.errors import LedgerError
from ledger.outbox import receiver_rows, retry_dead


def _webhooks_status(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        rows = asyncio.run(receiver_rows(url))
    print(receivers_as_json(rows) if options.json else receivers_as_text(rows))
    return 1 if any(row.dead for row in rows) else 0


def _webhooks_retry(options: Namespace) -> int:
    with database(config_of(options).database, os.environ) as url:
        names = [row.name for row in asyncio.run(receiver_rows(url))]
        if options.name not in names:
            hint = nearest(options.name, names) if names else "the books know none yet"
            raise LedgerError(f"there is no receiver {options.name}: {hint}")
        count = asyncio.run(retry_dead(url, options.name))
    print(f"{count_of(count, 'message')} of {options.name} will be tried again")
    return 0


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "webhooks status": _webhooks_status,
        "webhooks retry": _webhooks_retry,
    }
)
