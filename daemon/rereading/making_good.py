"""What an operator does about what was missed: verify, replay, backfill, rewind.

Each works beside the watcher, or without one. It leads nothing: what is entered holds the chain's
row for a moment, as each of the leader's steps does, so the one comes before or after the other.
To lead for a while would hold up the grants for as long, and a queue that the leader works off
would need one that runs.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, TypeVar

from daemon.chain.rpc import Node
from daemon.configuration.config import Chain
from daemon.configuration.sources import Source
from daemon.rereading.progress import Progress
from daemon.rereading.rereader import CannotRead, Differences, Reread, Rereader, seen
from daemon.watching.chain_nodes import nodes_of
from daemon.watching.earning import Followed, earnings_of, kinds_of
from daemon.watching.follower import rule_entry
from ledger.errors import Deposed, LedgerError, NotLate
from ledger.late import AsideRow, Late, Place

# Leaders that follow one another faster than a part of some blocks is read are no leaders.
LEADERS_MAX: Final = 5

_T = TypeVar("_T")


@dataclass(slots=True)
class Verified:
    """What was read again: blocks `first` to `last`; and what came of the differences."""

    chain: str
    first: int
    last: int
    differences: Differences = field(default_factory=Differences)
    admitted: int = 0


@dataclass(slots=True)
class Replayed:
    """What became of logs that were set aside; `kept` still do not match, with the reason now.

    `trouble` says why a block could not be read or entered: those after it were not tried.
    """

    admitted: int = 0
    kept: list[tuple[AsideRow, str]] = field(default_factory=list)
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Backfilled:
    """A source has been read in blocks `first` to `last`; `admitted` events came in."""

    source: str
    first: int
    last: int
    admitted: int
    forgotten: int


@asynccontextmanager
async def rereading(
    database_url: str, chain: Chain, urls: Sequence[str] = ()
) -> AsyncIterator[tuple[Rereader, Place]]:
    """Give what reads a chain again: through `urls`, else its nodes, the preferred one last.

    Raises NotLate for a chain that the books do not know, CannotRead for another chain's node.
    """
    wanted = [Node(url) for url in urls] or nodes_of(chain)[::-1]
    async with AsyncExitStack() as stack:
        late = await stack.enter_async_context(Late.open(database_url, chain.chain_id))
        nodes = [await stack.enter_async_context(node) for node in wanted]
        rereader = Rereader(chain, nodes, late)
        place = await known_place(late, chain)
        await rereader.require_chain(place)
        yield rereader, place


async def known_place(late: Late, chain: Chain) -> Place:
    """Return where the chain stands. Raises NotLate if the books do not know it."""
    place = await late.place()
    if place is None:
        raise NotLate(f"the books do not know chain {chain.name} yet: start `creditd watch` first")
    return place


async def under_one_leader(rereader: Rereader, work: Callable[[Place], Awaitable[_T]]) -> _T:
    """Do what reads and then writes; again, if another watcher took over in between."""
    for _ in range(LEADERS_MAX - 1):
        try:
            return await work(await known_place(rereader.late, rereader.chain))
        except Deposed:
            continue
    return await work(await known_place(rereader.late, rereader.chain))


async def followed_now(rereader: Rereader) -> list[Followed]:
    """Return the chain's configured sources that the books know, with their numbers there."""
    rules = await rereader.late.rules()
    return [
        Followed(source, rules[source.name])
        for source in rereader.chain.sources
        if source.name in rules
    ]


async def verify(
    database_url: str,
    chain: Chain,
    first: int,
    last: int | None,
    *,
    urls: Sequence[str] = (),
    repair: bool = False,
) -> Verified:
    """Read final blocks again and compare them; with `repair`, enter what is missing.

    `last` is the last confirmed block unless given. Raises NotLate for blocks that are not
    confirmed yet, and CannotRead.
    """
    async with rereading(database_url, chain, urls) as (rereader, place):
        until = place.confirmed_number if last is None else last
        if not 0 <= first <= until <= place.confirmed_number:
            raise NotLate(
                f"blocks {first} to {until} cannot be verified: the confirmed ones are 0 to"
                f" {place.confirmed_number}"
            )
        verified = Verified(chain.name, first, until)
        progress = Progress("verified", chain.name, first, until)
        followed = await followed_now(rereader)

        async def part(now: Place) -> tuple[Reread, int]:
            reread = await rereader.read(verified_to + 1, until, followed)
            admitted = 0
            if repair:
                admitted = await admit_missing(rereader.late, now, reread)
            if reread.differences.all_missing <= admitted:
                await rereader.late.note_reread(now.epoch, reread.first, reread.last, None)
            return reread, admitted

        verified_to = first - 1
        while verified_to < until:
            reread, admitted = await under_one_leader(rereader, part)
            verified_to = reread.last
            verified.differences.add(reread.differences)
            verified.admitted += admitted
            progress.at(verified_to)
        return verified


async def admit_missing(late: Late, place: Place, reread: Reread) -> int:
    """Enter events that final blocks have and the books do not. Returns how many.

    Of blocks that the books have otherwise nothing is entered: that is for a person to judge.
    """
    doubtful = {number for number, _, _ in reread.differences.other_blocks}
    doubtful |= {each.recorded.block_number for each in reread.differences.changed}
    doubtful |= {each.block_number for each in reread.differences.not_on_chain}
    missing = [event for event in reread.differences.missing if event.block_number not in doubtful]
    return await late.admit(place.epoch, reread.blocks, missing) if missing else 0


async def replay(
    database_url: str, chain: Chain, source: Source, first: int, last: int | None
) -> Replayed:
    """Read the logs of a source that were set aside again, and enter those that match now.

    Of blocks `first` to `last`, or all from `first` on, and SET_ASIDE_MAX of `ledger.late` at most.
    Each block is entered by itself: cut short, it is safe to run again. Raises NotLate, and
    CannotRead for another chain's node.
    """
    replayed = Replayed()
    async with rereading(database_url, chain) as (rereader, _):
        followed = [each for each in await followed_now(rereader) if each.source == source]
        rows = await rereader.late.set_aside(source.name, first, last)
        for _, group in groupby(rows, key=lambda row: row.block_number):
            of_block = list(group)

            async def block(
                place: Place, of_block: Sequence[AsideRow] = of_block
            ) -> tuple[int, list[tuple[AsideRow, str]]]:
                return await _replay_block(rereader, place, followed, of_block)

            try:
                admitted, kept = await under_one_leader(rereader, block)
            except (CannotRead, LedgerError) as error:
                replayed.trouble = str(error)
                break
            replayed.admitted += admitted
            replayed.kept += kept
    return replayed


async def _replay_block(
    rereader: Rereader, place: Place, followed: Sequence[Followed], rows: Sequence[AsideRow]
) -> tuple[int, list[tuple[AsideRow, str]]]:
    number = rows[0].block_number
    if number > place.confirmed_number:
        return 0, [(row, f"block {number} is not confirmed yet") for row in rows]
    block = await rereader.logs_of(number, kinds_of(followed))
    earnings = earnings_of([block], followed, rereader.chain.waits)
    ours = {(row.tx_hash, row.ordinal): row for row in rows if row.block_hash == block.hash}
    events = [each for each in earnings.events if (each.tx_hash, each.ordinal) in ours]
    aside = [each for each in earnings.set_aside if (each.tx_hash, each.ordinal) in ours]
    admitted = await rereader.late.admit(place.epoch, seen([block]), events, aside)
    matched = {each.cause[:2] for each in events}
    reasons = {(each.tx_hash, each.ordinal): each.reason for each in aside}
    kept = []
    for row in rows:
        key = (row.tx_hash, row.ordinal)
        if key not in ours:
            kept.append((row, f"block {number} is 0x{block.hash.hex()} now"))
        elif key not in matched:
            kept.append((row, reasons.get(key, "it is not what the source is about")))
    return admitted, kept


async def backfill(database_url: str, chain: Chain, source: Source) -> Backfilled:
    """Read a source in the blocks that were read without it, and grant what it earns there.

    What is pending is forgotten at the end, so that the watcher reads it again with the source.
    Safe to run again: it goes on where it was.
    """
    async with rereading(database_url, chain) as (rereader, place):
        rule_id, followed_to = await rereader.late.enter_rule(place.epoch, rule_entry(source))
        followed = [Followed(source, rule_id)]
        begin = at = max(followed_to, source.from_block - 1)
        progress: Progress | None = None
        admitted = 0

        async def part(now: Place) -> tuple[int, int] | None:
            until = now.confirmed_number
            if source.to_block is not None:
                until = min(until, source.to_block)
            if at >= until:
                return None
            reread = await rereader.read(at + 1, until, followed)
            if reread.differences.all_missing == math.inf:
                raise NotLate(
                    f"chain {chain.name} says otherwise than the books"
                    f" ({reread.differences.said()}): `creditd verify` shows how"
                )
            count = await rereader.late.admit(
                now.epoch,
                reread.blocks,
                reread.differences.missing,
                reread.set_aside,
                follow=(rule_id, reread.last),
            )
            return reread.last, count

        while (done := await under_one_leader(rereader, part)) is not None:
            at, count = done
            admitted += count
            progress = progress or Progress(
                "backfilled", chain.name, begin + 1, max(place.confirmed_number, at)
            )
            progress.at(at)

        async def forget(now: Place) -> int:
            if source.to_block is not None and source.to_block <= now.confirmed_number:
                return 0
            return await rereader.late.rewind(now.epoch, now.confirmed_number)

        forgotten = await under_one_leader(rereader, forget)
        return Backfilled(source.name, begin + 1, at, admitted, forgotten)


async def rewind(database_url: str, chain: Chain, to_number: int) -> int:
    """Forget the pending blocks above a height, to be read again. Returns how many events went."""
    async with Late.open(database_url, chain.chain_id) as late:
        place = await known_place(late, chain)
        return await late.rewind(place.epoch, to_number)
