"""Calls that were let pass while creditd did not answer: kept in a file, and charged afterwards."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from creditd_client.client import Credits
from creditd_client.errors import Refused, ReservationEnded
from creditd_client.keys import is_key, refund_key
from creditd_client.metering.reserving import SMALLEST

# A quarter of a million calls; whoever lets more pass unpaid should decide so.
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
# A request that long in the making ended with its process: it is charged as it was begun.
OVER_AFTER: Final = timedelta(hours=1)
# Long enough to settle right after.
_HELD_SECONDS: Final = 60
_AMOUNT_MAX: Final = Decimal(10) ** 13  # credits; creditd takes less than half of it at once

State = Literal["begun", "ended", "failed"]
_STATES: Final = ("begun", "ended", "failed")


@dataclass(frozen=True, slots=True)
class Passed:
    """An operation that ran and is still to be charged under `key`, let pass `at` (UTC).

    Each is recorded twice, and the later record counts: when it has "begun", with what it costs if
    nothing more is heard of it, and when it has "ended", or "failed": then nothing is due.
    `amount` is what it cost in credits, where that is known better than by its units.
    `maybe_taken` says that creditd may have charged it already.
    """

    key: str
    account: str
    operation: str
    units: int
    at: datetime
    state: State
    maybe_taken: bool
    model: str | None = None
    amount: Decimal | None = None


class PassedFileFull(OSError):
    """The file holds all it may: charge what is in it (`replay_passed`) and take it away."""


class PassedFile:
    """A file of JSON lines, one record each, on disk before the call returns.

    Call it with each record, from any thread. It is opened anew for every record, so it may be
    moved away at any time, to be replayed. Nothing begins beyond `bytes_max` (PassedFileFull); what
    has begun is still ended there.
    """

    def __init__(self, path: str | os.PathLike[str], *, bytes_max: int = FILE_BYTES_MAX) -> None:
        self._path = Path(path)
        self._bytes_max = bytes_max
        self._lock = Lock()

    def __call__(self, passed: Passed) -> None:
        """Append a record."""
        with self._lock:
            new = not self._path.exists()
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                self._append(file, passed)
            finally:
                os.close(file)
            if new:
                self._keep_name()

    def _append(self, file: int, passed: Passed) -> None:
        line = f"{json.dumps(_written(passed))}\n".encode()
        size = os.fstat(file).st_size
        if passed.state == "begun" and size + len(line) > self._bytes_max:
            raise PassedFileFull(
                f"{self._path} holds {size} of {self._bytes_max} bytes: move it away and give it"
                " to replay_passed"
            )
        if size and os.pread(file, 1, size - 1) != b"\n":
            line = b"\n" + line  # what was being written when the machine stopped
        if os.write(file, line) != len(line):
            raise OSError(f"{self._path}: only a part of a record could be written")
        os.fsync(file)

    def _keep_name(self) -> None:
        """Put the file's name on disk too."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of the records of a file.

    `charged` are charged now, at this or an earlier replay or by the call itself; `refused` are
    not, with creditd's reason; `running` may still end; `unreadable` lines, counted through all
    files, are none of ours.
    """

    charged: tuple[Passed, ...]
    refused: tuple[tuple[Passed, Refused], ...]
    running: tuple[Passed, ...]
    unreadable: tuple[int, ...]


def replay_passed(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    credits: Credits,  # noqa: A002 - the word of the domain
    *,
    over_after: timedelta = OVER_AFTER,
) -> Replay:
    """Charge what files of passed calls hold, each under its key: so however often, once.

    Files are only read; move one away first, so that nobody writes to it. What has begun in one may
    end in the next: give those that still have `running` calls and those after, oldest first, or
    what failed is charged as it began.

    Operations that failed are not charged, and given back where creditd may have charged them. What
    has begun and not ended is charged as it began once `over_after` has gone by since, and is
    `running` until then.

    Raises CreditsUnavailable where creditd does not answer: replay the files again.
    """
    each = [paths] if isinstance(paths, str | os.PathLike) else paths
    latest, unreadable = _latest(b"\n".join([Path(path).read_bytes() for path in each]))
    charged, refused, running = list[Passed](), list[tuple[Passed, Refused]](), list[Passed]()
    for passed in latest:
        if passed.state == "begun" and datetime.now(UTC) - passed.at < over_after:
            running.append(passed)
            continue
        try:
            if _pay(credits, passed):
                charged.append(passed)
        except Refused as refusal:
            refused.append((passed, refusal))
    return Replay(tuple(charged), tuple(refused), tuple(running), unreadable)


def _pay(credits: Credits, passed: Passed) -> bool:  # noqa: A002 - the word of the domain
    """Charge a call, unless it failed. Returns whether something is taken for it."""
    account, operation, units = passed.account, passed.operation, passed.units
    if passed.state == "failed":
        if passed.maybe_taken:
            # There is no asking by key: taken once under it, it can be given back by its id.
            charge = credits.charge(account, operation, units, key=passed.key, model=passed.model)
            if charge.cost:
                credits.refund(charge.id, key=refund_key(charge.id))
        return False
    if passed.amount is None:
        credits.charge(account, operation, units, key=passed.key, model=passed.model)
        return True
    due = passed.amount.quantize(SMALLEST, ROUND_CEILING)
    held = credits.reserve(
        account,
        operation,
        units,
        expires_in=_HELD_SECONDS,
        minimum=due,  # should this process end before it has settled
        key=passed.key,
        model=passed.model,
    )
    due = min(due, held.reservation.amount)
    try:
        held.settle(due)
    except ReservationEnded as ended:
        # An earlier replay held it and was cut off: what it left to be taken was, or all is told.
        if ended.taken != due:
            raise
    return True


def _latest(content: bytes) -> tuple[list[Passed], tuple[int, ...]]:
    """Return the record that counts of every key, and the numbers of lines that are none."""
    latest: dict[str, Passed] = {}
    unreadable: list[int] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line:
            continue
        passed = _read(line)
        if passed is None:
            unreadable.append(number)
            continue
        before = latest.get(passed.key)
        maybe_taken = passed.maybe_taken or (before is not None and before.maybe_taken)
        latest[passed.key] = replace(passed, maybe_taken=maybe_taken)
    return list(latest.values()), tuple(unreadable)


def _written(passed: Passed) -> dict[str, object]:
    amount = None if passed.amount is None else f"{passed.amount:f}"
    return {**asdict(passed), "at": passed.at.isoformat(), "amount": amount}


def _read(line: bytes) -> Passed | None:
    """Return the record of a line, or None where it is none: torn, or somebody else's."""
    try:
        row = json.loads(line)
        amount = None if row["amount"] is None else Decimal(row["amount"])
        at = datetime.fromisoformat(row["at"])
        passed = Passed(**{**row, "at": at, "amount": amount})
        may_be = amount is None or 0 <= amount <= _AMOUNT_MAX
    except (ValueError, TypeError, KeyError, InvalidOperation, RecursionError):
        return None
    words = (passed.key, passed.account, passed.operation)
    sound = (
        may_be
        and all(isinstance(word, str) for word in words)
        and is_key(passed.key)
        and type(passed.units) is int
        and type(passed.maybe_taken) is bool
        and passed.state in _STATES
        and at.tzinfo is not None
    )
    return passed if sound else None
