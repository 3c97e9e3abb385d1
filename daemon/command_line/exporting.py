"""Writing an export to a file or the standard output, and saying how far it is."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import structlog

from ledger.export import Exported, Progress, export
from ledger.ids import AccountRef

# A line as often as this tells that it goes on; more would be noise.
PROGRESS_SECONDS: Final = 5.0

log = structlog.get_logger()


def write_export(database_url: str, path: Path | None, account: AccountRef | None) -> Exported:
    """Write an export to a file, whole or not at all, or to the standard output.

    Raises OSError, LedgerError.
    """
    if path is None:
        exporting = export(database_url, sys.stdout.buffer, account=account, progress=_progress())
        return asyncio.run(exporting)
    # Under its name there is never half of one.
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            exporting = export(database_url, out, account=account, progress=_progress())
            exported = asyncio.run(exporting)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return exported


def _progress() -> Progress:
    told = time.monotonic()

    def tell(entries: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("exporting", entries=entries, of=of)

    return tell
