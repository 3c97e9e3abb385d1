"""A server that becomes `python -m daemon` again and again, having imported all that it needs.

Most of the time that a short command takes is Python's, which imports what the command needs. This
program imports all of it once and forks for each command. A fork has the arguments, environment,
folder and streams of its command alone, runs `daemon` as its main module and ends as every Python
does: with an exit code, or by a signal.

Its one argument is a socket. For each command a byte comes with four file descriptors: of a
connection, and of the command's streams. The connection brings the request as JSON, and takes two
lines: the process, and how it ended.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# The command line, its modules, and what they import only when a command is called.
IMPORTED = (
    "daemon.command_line.cli",
    *(
        f"daemon.command_line.{name}"
        for name in (
            *("account_commands", "books_commands", "chain_commands", "config_commands"),
            *("key_commands", "prices_commands", "running", "webhooks_commands"),
            *("making_good_report", "reorgs"),
        )
    ),
    "daemon.evidence_files.gathering",
    "daemon.rereading.making_good",
    "ledger.migrate",
)
CONNECTION_AND_STREAMS = 4


def next_command(control: socket.socket) -> dict[str, Any] | None:
    """Return what to become, in a process made for it; or None once nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers report to who asked, not to this one
    while True:
        asked, received, _, _ = socket.recv_fds(control, 1, CONNECTION_AND_STREAMS)
        if not asked:
            return None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            return kept(socket.socket(fileno=received[0]), received[1:])
        for each in received:
            os.close(each)


def kept(connection: socket.socket, streams: list[int]) -> dict[str, Any]:
    """Return the request in a child with these streams. Its parent waits for it, and ends."""
    with connection:
        with connection.makefile("rb") as sent:
            request: dict[str, Any] = json.load(sent)
        process = os.fork()
        if process != 0:
            for each in streams:
                os.close(each)
            connection.sendall(f"{process}\n".encode())
            _, status = os.waitpid(process, 0)
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    return request


def become(request: dict[str, Any]) -> None:
    """Run `python -m daemon` as it would run in a process started for it."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    sys.argv = ["creditd", *request["arguments"]]
    runpy.run_module("daemon", run_name="__main__", alter_sys=True)


def main(number: int) -> None:
    sys.path[0] = str(Path.cwd())  # as `python -m` has it, and not the folder of the tests
    for module in IMPORTED:
        import_module(module)
    gc.freeze()  # nothing of it is garbage: it stays in the memory that the forks share
    with socket.socket(fileno=number) as control:
        request = next_command(control)
    if request is not None:
        become(request)


if __name__ == "__main__":
    main(int(sys.argv[1]))
