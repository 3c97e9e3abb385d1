"""The demo, as somebody at a terminal runs it: `--check`, and until Ctrl-C."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

pytestmark = pytest.mark.anvil

ROOT = Path(__file__).parent.parent
CHECK_SECONDS_MAX = 120  # a quarter of that on an idle machine
STOP_SECONDS_MAX = 5  # what is promised to whoever presses Ctrl-C
CODES = re.compile(r"HTTP/1.1 (\d+)")


def demo_environ(**more: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return {**given, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}", **more}


@contextmanager
def demo(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run `creditd demo` as a terminal does, in a process group of its own."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "daemon", "demo"],
        cwd=ROOT,
        env=demo_environ(TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for temporary files that other users may enter: PostgreSQL is one to root."""
    with tempfile.TemporaryDirectory(prefix="creditd-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def read_until(running: "subprocess.Popen[str]", wanted: str) -> str:
    """Return what it printed up to the first line with `wanted` in it."""
    assert running.stdout is not None
    lines: list[str] = []
    for line in running.stdout:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
    raise AssertionError(f"no {wanted!r} in:\n" + "".join(lines))


def processes_of(running: "subprocess.Popen[str]", folder: Path) -> dict[psutil.Process, str]:
    """Its descendants, and the server of the database, which has left the family."""
    family = psutil.Process(running.pid).children(recursive=True)
    server = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in process.info["cmdline"] or [])
    ]
    return {process: " ".join(process.cmdline()) for process in {*family, *server}}


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_demo_holds_its_story_against_chain_and_books(server_url: str, folder: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "daemon", "demo", "--check"],
        cwd=ROOT,
        env=demo_environ(DATABASE_URL=server_url, TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    assert "All as it should be" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert max(len(line) for line in finished.stdout.splitlines()) <= 100
    for contract in ("StakingRewards", "MineableToken"):
        assert re.search(rf"\b{contract} +0x[0-9a-f]{{40}}$", finished.stdout, re.MULTILINE)
    assert list(folder.glob("creditd-*")) == []
    with psycopg.connect(server_url) as connection:
        names = connection.execute("select datname from pg_database").fetchall()
    assert [name for (name,) in names if name.startswith("creditd_scratch")] == []


def test_ctrl_c_in_the_middle_leaves_nothing_behind(folder: Path) -> None:
    with demo(folder) as running:
        read_until(running, " 402 ")
        processes = processes_of(running, folder)
        commands = " ".join(processes.values())
        assert all(part in commands for part in ("anvil", "postgres", " watch", " serve"))
        began = time.monotonic()
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=4 * STOP_SECONDS_MAX) == 0
        assert time.monotonic() - began < STOP_SECONDS_MAX
        assert [command for process, command in processes.items() if alive(process)] == []
        assert list(folder.glob("creditd-*")) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_demo_invites_to_works_as_printed(folder: Path) -> None:
    with demo(folder) as running:
        read_until(running, "Try it")
        # The API key is in the second command, and ends the third and last.
        invitation = read_until(running, "ck_") + read_until(running, "ck_")
        joined = (line.strip() for line in invitation.replace("\\\n", "").splitlines())
        commands = [line for line in joined if line.startswith("curl ")]
        answers = [
            subprocess.run(
                shlex.split(command), capture_output=True, text=True, timeout=20, check=True
            ).stdout
            for command in (*commands, *commands)
        ]
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=4 * STOP_SECONDS_MAX)
    thumbnail, charge, entries, thumbnail_again, charge_again, entries_again = answers
    assert CODES.findall(thumbnail + charge) == ["200", "201"]
    assert CODES.findall(thumbnail_again + charge_again) == ["409", "201"]
    assert "idempotent-replayed: true" in charge_again.lower()
    assert '"kind":"charge"' in entries
    assert entries_again.count('"kind":"charge"') == entries.count('"kind":"charge"')


def test_a_part_that_ends_by_itself_is_named(folder: Path) -> None:
    with demo(folder) as running:
        read_until(running, " seen ")
        (watcher,) = (
            process
            for process, command in processes_of(running, folder).items()
            if command.endswith(" watch")
        )
        watcher.kill()
        told = read_until(running, "logs")
        assert running.wait(timeout=4 * STOP_SECONDS_MAX) == 1
    assert "FAILED at" in told
    assert "creditd watch ended by itself, with exit code -9" in told
    assert [path.suffix for path in folder.glob("creditd-*")] == [".log"]
