"""The demo's program: the story with everything it needs, ended and removed when it is over."""

import asyncio
import gc
import logging
import os
import shutil
import tempfile
from asyncio.subprocess import Process
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import uvloop

from daemon.chain.rpc import NodeRefused, NodeUnavailable
from daemon.demo.checks import Checks, StepFailed
from daemon.demo.closing import close
from daemon.demo.living import earn_on
from daemon.demo.parts import Parts, Started, ended, start
from daemon.demo.printing import Printer, Unheard
from daemon.demo.story import Story
from daemon.demo.terms import THUMBNAIL
from daemon.processes.postgres import EmbeddedFailed
from daemon.processes.stopping import stop_event

INTERRUPTED: Final = 130  # as a shell reports a program that Ctrl-C ended
BLOCK_SECONDS: Final = 0.6  # slow enough to watch the numbers grow; a check does not wait
# A Ctrl-C reaches initdb as well; that it ended, or a program did, may be known before the reason.
HEARD_SECONDS: Final = 0.2

# What fails a step: an expectation, or a part that does not answer.
_FAILURES: Final = (StepFailed, httpx2.TransportError, NodeUnavailable, NodeRefused)


def perform(*, check: bool) -> int:
    """Give the demo, as `daemon.demo.run` says."""
    # creditd-client heeds proxies as other clients do; what is called here is on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
    try:
        with Printer.open() as printer:
            code = uvloop.run(_perform(printer, check=check))
    except Unheard:
        code = 1
    # The interpreter's last search for garbage in all of web3 takes half a second of a Ctrl-C's.
    gc.freeze()
    return code


async def _perform(printer: Printer, *, check: bool) -> int:
    printer.line("creditd demo: a chain, the books, an API and an app, on this machine", "bold")
    async with stop_event(os.environ) as stop:
        with _folder() as folder:
            code = await _until_told(stop, _give(printer, folder, check=check))
            if code is None:
                printer.tick("")
                printer.line("stopping", "dim")
        return (INTERRUPTED if check else 0) if code is None else code


async def _until_told(stop: asyncio.Event, work: Coroutine[Any, Any, int]) -> int | None:
    """Return what the work returns; None if it was told to stop, once it has ended in order."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done() and working.exception() is not None:
        await asyncio.wait({stopping}, timeout=HEARD_SECONDS)
    stopping.cancel()
    if not stop.is_set():
        return working.result()
    working.cancel()
    with suppress(asyncio.CancelledError, EmbeddedFailed):
        await working
    return None


async def _give(printer: Printer, folder: Path, *, check: bool) -> int:
    log_path = folder / "creditd.log"
    programs: dict[str, Process] = {}
    checks = Checks(lambda: ended(programs))
    async with AsyncExitStack() as stack:
        stack.enter_context(_logging_to(log_path))
        parts = Parts(folder, log_path, os.environ, stack, printer, checks, programs)
        try:
            started = await start(parts)
            story = Story(started.stage, printer, block_seconds=0 if check else BLOCK_SECONDS)
            await story.tell()
            printer.heading("Does it all agree?")
            await close(started.stage, printer, started.database_url)
            printer.line()
            printer.line(
                f"All as it should be: {checks.made} comparisons, {printer.seconds:.1f} s.",
                "bold green",
            )
            if not check:
                _invite(printer, started)
                await earn_on(started.stage, printer)
        except _FAILURES as failure:
            await _hear_of_ends(parts)
            _explain(parts, failure)
            return 1
    return 0


def _invite(printer: Printer, started: Started) -> None:
    """Print what to try, ready to be copied."""
    earner = started.stage.town.earners[-1]
    customer = started.stage.customers[earner.name]
    api_key = f"-H 'Authorization: Bearer {started.api_key}'"
    printer.heading("Try it; they go on earning until Ctrl-C.")
    printer.line(
        f"  {earner.name} buys a {THUMBNAIL}; the same key again takes nothing twice:", "dim"
    )
    printer.line(
        f"  curl -i -X POST {started.app_url}/{THUMBNAIL} \\\n"
        f"    -H 'Authorization: Bearer {customer.token}' -H 'Idempotency-Key: first-try'"
    )
    printer.line(f"  An app charges {earner.name}, with its API key:", "dim")
    printer.line(
        f"  curl -i {started.api_url}/v1/charges \\\n    {api_key} \\\n"
        "    -H 'Content-Type: application/json' -H 'Idempotency-Key: second-try' \\\n"
        f'    -d \'{{"account": "{customer.account}", "operation": "{THUMBNAIL}"}}\''
    )
    printer.line(f"  {earner.name}'s books; balance and earnings are beside entries:", "dim")
    printer.line(
        f"  curl {started.api_url}/v1/accounts/{customer.account}/entries \\\n    {api_key}"
    )
    printer.line()


async def _hear_of_ends(parts: Parts) -> None:
    """Give the end of a program the moment it takes to be known, since it may be the reason."""
    ends = [asyncio.create_task(program.wait()) for program in parts.programs.values()]
    if ends:
        await asyncio.wait(ends, timeout=HEARD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()


def _explain(parts: Parts, failure: Exception) -> None:
    """Say which step failed, what was expected and found, and where the logs are."""
    printer = parts.printer
    printer.tick("")
    printer.line()
    match failure:
        case StepFailed():
            printer.line(f"FAILED at: {failure.step}", "bold red")
            printer.fact("what", failure.what)
            printer.fact("expected", failure.expected)
            printer.fact("found", failure.found)
        case _:
            printer.line(f"FAILED at: {parts.checks.step}", "bold red")
            printer.fact("expected", "an answer")
            printer.fact("found", str(failure) or type(failure).__name__)
    for end in ended(parts.programs):
        printer.fact("besides", end)
    kept = parts.folder.with_suffix(".log")
    shutil.copyfile(parts.log_path, kept)
    printer.fact("logs", str(kept))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="creditd-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send this process's own logs where its programs' logs go, off the screen."""
    root = logging.getLogger()
    before = root.handlers
    handler = logging.FileHandler(path)
    root.handlers = [handler]
    try:
        yield
    finally:
        root.handlers = before
        handler.close()
