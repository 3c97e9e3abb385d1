"""A PostgreSQL that is killed while it works, and started again on what it left."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from daemon.processes import postgres


@dataclass(frozen=True)
class CrashingPostgres:
    """A server of the test's own, with nobody else's books on it."""

    data_dir: Path
    url: str

    @classmethod
    @contextmanager
    def run(cls) -> Iterator["CrashingPostgres"]:
        with (
            tempfile.TemporaryDirectory(prefix="creditd-", ignore_cleanup_errors=True) as folder,
            postgres.embedded(Path(folder) / "data") as url,
        ):
            yield cls(Path(folder) / "data", url)

    def kill(self) -> None:
        """Kill the server and all its processes at once, as a machine that loses power does."""
        first_line = (self.data_dir / "postmaster.pid").read_text().partition("\n")[0]
        postmaster = psutil.Process(int(first_line))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(processes, timeout=10)
        assert not left, left

    def start(self) -> None:
        postgres._server(self.data_dir).start()
