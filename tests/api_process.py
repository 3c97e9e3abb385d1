"""An API process of its own, whose code is as short as one can be."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from live_api import LiveApi

PROGRAM = """
import os, structlog, sys, uvloop
from api.serve import listening
from daemon.processes.stopping import stop_event

# Nobody reads more than the first line of the output: a full pipe would hold the process up.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def serve():
    async with (
        stop_event(os.environ) as stop,
        listening(sys.argv[1], host="127.0.0.1", port=0) as url,
    ):
        print(url, flush=True)
        await stop.wait()

uvloop.run(serve())
"""


@contextmanager
def process(database_url: str) -> Iterator[tuple[subprocess.Popen[str], LiveApi]]:
    """Run an API process, killed at the end if it still runs."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, database_url]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            url = re.search(r"http://[0-9.]+:[0-9]+", running.stdout.readline())
            assert url is not None
            with LiveApi(url[0], database_url) as api:
                yield running, api
        finally:
            running.kill()
