"""Logs decoded again for the operator's port: by `creditd replay`, in a process of its own.

Proving blocks would hold up the charges of the process that asks, and web3 is 60 MB that the API
does without.
"""

import asyncio
from asyncio import StreamReader
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta, Struct

from api.operating.replays import Kept, Replayed, ReplayOutcome
from api.problems.refusals import ReplayCutShort, ReplayNotCarriedOut
from daemon.processes.children import child

# As long as somebody may wait for one answer; some thousand blocks are proven by then.
REPLAY_SECONDS_MAX: Final = 300
KEPT_LISTED_MAX: Final = 100  # a person looks at the first few; the port lists all, in pages
# A log that stays takes about a kilobyte there, and forty if a contract says much.
ANSWER_BYTES_MAX: Final = 4 * 1_048_576
WORDS_BYTES_MAX: Final = 65_536  # of the last that it logs; what is wrong is said at the end
WORDS_LENGTH_MAX: Final = 2_000  # of what a problem tells: a line for each node

CHUNK_BYTES: Final = 65_536  # what a pipe holds

NOT_CARRIED_OUT: Final = 2  # of the exit codes
_SAYS: Final = "creditd: "

log = structlog.get_logger()


class _Place(Struct, frozen=True):
    """What names a log among those set aside."""

    tx_hash: Annotated[str, Meta(pattern=r"^0x[0-9a-f]{64}$")]
    ordinal: int


class _Kept(Struct, frozen=True):
    """A log that stays set aside."""

    listed_as: _Place
    block: Annotated[int, Meta(ge=0)]
    reason: str


class _Report(Struct, frozen=True):
    """What `creditd replay --json` prints, as far as it is told."""

    admitted: Annotated[int, Meta(ge=0)]
    kept_count: Annotated[int, Meta(ge=0)]
    kept: Annotated[list[_Kept], Meta(max_length=KEPT_LISTED_MAX)]
    trouble: str | None


class Replayer:
    """Runs `creditd replay` with the configuration and the environment of this process."""

    def __init__(self, config_path: Path, environ: Mapping[str, str]) -> None:
        self._config_path = config_path
        self._environ = environ

    async def __call__(self, source: str, first: int, last: int | None) -> ReplayOutcome:
        """Decode a source's logs of blocks `first` to `last` again; None: of all from `first` on.

        The process is ended after REPLAY_SECONDS_MAX, and when this is cancelled: each block is
        entered by itself, so what was granted stays, and nothing is half granted.
        """
        try:
            async with (
                asyncio.timeout(REPLAY_SECONDS_MAX),
                child(self._arguments(source, first, last), self._environ, is_read=True) as process,
            ):
                answer, words = await _read(process)
                code = await process.wait()
        except TimeoutError:
            outcome: ReplayOutcome = ReplayCutShort(
                f"it took longer than {REPLAY_SECONDS_MAX} seconds, and was ended: first_block and"
                " last_block name a part"
            )
        else:
            outcome = _outcome(code, answer, words)
        if isinstance(outcome, Replayed):
            told = {"granted": outcome.granted_events, "kept": outcome.kept_count}
            log.info("replayed", source=source, **told)
        else:
            log.warning("a replay came to no end", source=source, trouble=outcome.said)
        return outcome

    def _arguments(self, source: str, first: int, last: int | None) -> list[str]:
        # Each value in one word with its name: no value passes for an option.
        arguments = ["--config", str(self._config_path), "replay", "--json", f"--source={source}"]
        arguments += [f"--from={first}", f"--list={KEPT_LISTED_MAX}"]
        return arguments if last is None else [*arguments, f"--to={last}"]


def _outcome(code: int, answer: bytes, words: bytes) -> ReplayOutcome:
    said = _said(words)
    if not answer and said and code == NOT_CARRIED_OUT:
        return ReplayNotCarriedOut(said)
    if len(answer) > ANSWER_BYTES_MAX:
        return ReplayCutShort("its report is longer than is read")
    try:
        report = msgspec.json.decode(answer, type=_Report)
    except msgspec.DecodeError as error:
        # Ended from outside, or by a defect, which its last words tell.
        told = {"trouble": str(error), "words": words.decode(errors="replace")}
        log.warning("creditd replay broke off", exit_code=code, **told)
        return ReplayCutShort(f"it ended with exit code {code}, as the log tells")
    if report.trouble is not None:
        return ReplayCutShort(report.trouble[:WORDS_LENGTH_MAX].rstrip("."), report.admitted)
    return Replayed(report.admitted, report.kept_count, [_kept(each) for each in report.kept])


def _kept(kept: _Kept) -> Kept:
    place = kept.listed_as
    tx_hash = bytes.fromhex(place.tx_hash.removeprefix("0x"))
    return Kept(tx_hash, place.ordinal, kept.block, kept.reason)


def _said(words: bytes) -> str:
    """Return what a command said for people, of all that it logged."""
    lines = words.decode(errors="replace").splitlines()
    said = [line.removeprefix(_SAYS).rstrip(".") for line in lines if line.startswith(_SAYS)]
    return "; ".join(said)[:WORDS_LENGTH_MAX]


async def _read(process: Process) -> tuple[bytes, bytes]:
    """Return what a process prints, up to a byte more than is taken, and the last that it logs."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    assert process.stderr is not None  # noqa: S101 - asked for above
    return await asyncio.gather(_begin_of(process.stdout), _end_of(process.stderr))


async def _begin_of(stream: StreamReader) -> bytes:
    said = bytearray()
    while more := await stream.read(CHUNK_BYTES):
        said += more[: ANSWER_BYTES_MAX + 1 - len(said)]
    return bytes(said)


async def _end_of(stream: StreamReader) -> bytes:
    said = b""
    while more := await stream.read(CHUNK_BYTES):
        said = (said + more)[-WORDS_BYTES_MAX:]
    return said
