"""The auditor: it reads final blocks again, round and round, and holds them against the books.

What the watcher missed by a defect, or what a node that nobody could contradict withheld, is found
by another node later, and is an alarm with its remedy. The auditor itself enters nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from daemon.chain.contract_totals import read_balances, read_total
from daemon.chain.reading import Violated
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable
from daemon.configuration.sources import Source
from daemon.rereading.rereader import CannotRead, Contradicted, Rereader
from daemon.watching.earning import Followed
from daemon.watching.follower import Follower
from ledger.errors import Deposed, LedgerError
from ledger.late import Late, Place, Rereading

# Sixty times what Ethereum makes, and some thousandths of a core's time.
AUDIT_BLOCKS_PER_MINUTE: Final = 300
AUDIT_SECONDS: Final = 10
AUDIT_BLOCKS: Final = AUDIT_BLOCKS_PER_MINUTE * AUDIT_SECONDS // 60
# A node may be down for a while. What none can read for ten minutes, such as receipts that all have
# pruned, is told of, and the blocks behind it are read.
UNREAD_TURNS_MAX: Final = 60
# One batch: about what reading a turn's blocks again costs a node.
BALANCES_PER_TURN_MAX: Final = 100

_Said = TypeVar("_Said")  # what contracts say of stakes

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _At:
    """The last confirmed block, by its hash, and the nodes that are asked what was there."""

    rereader: Rereader
    place: Place
    block: bytes

    async def asked(self, source: Source, ask: Callable[[Node], Awaitable[_Said]]) -> _Said | None:
        """Return what the first node that serves it says, None if none does."""
        for node in self.rereader.nodes:
            try:
                return await ask(node)
            except (NodeUnavailable, NodeRefused, Violated) as error:
                log.info(
                    "stakes not compared", source=source.name, node=node.endpoint, why=str(error)
                )
        return None


@dataclass(slots=True)
class Auditor:
    """The auditor of one chain, at work while its follower leads and has read all there is."""

    follower: Follower
    late: Late
    _trouble: str = ""
    _unread_turns: int = 0
    _rereader: Rereader | None = None

    async def turn(self) -> None:
        """Read some blocks again, where the last turn of whichever leader ended."""
        try:
            await self._turn()
            self._over("")
        except Deposed:  # whoever leads now goes on
            self._over("")
        except (CannotRead, LedgerError) as error:  # the next turn tries again
            self._over(str(error))

    async def _turn(self) -> None:
        leading, place = self.follower.followed(), await self.late.place()
        if leading is None or place is None or place.state != "following":
            return
        nodes, followed = leading
        rereader = self._rereader
        if rereader is None or list(rereader.nodes) != list(nodes):
            rereader = self._rereader = Rereader(self.follower.chain, nodes, self.late)
        if not followed:
            return
        await self._compare_stakes(rereader, place, followed)
        first, last, begin = _part(place, followed, await self.late.rereading())
        if first > last:
            return
        try:
            reread = await rereader.read(first, last, followed)
        except Contradicted as error:
            await self.late.note_reread(place.epoch, first, last, str(error))
            return
        except CannotRead as error:
            self._unread_turns += 1
            if self._unread_turns < UNREAD_TURNS_MAX:
                raise
            self._unread_turns = 0
            said = f"blocks {first} to {last} cannot be read again: {error}"
            behind = begin if last == place.confirmed_number else last + 1
            await self.late.note_reread(place.epoch, first, last, said, next_number=behind)
            return
        self._unread_turns = 0
        found = reread.differences.said() if reread.differences.any else None
        # After the last final block it begins anew: a later turn has more of them.
        is_round = reread.last == place.confirmed_number
        await self.late.note_reread(
            place.epoch,
            reread.first,
            reread.last,
            found,
            next_number=begin if is_round else reread.last + 1,
        )
        if found is not None:
            log.error(
                "read again otherwise",
                chain=self.follower.chain.name,
                first=reread.first,
                last=reread.last,
                found=found,
            )

    async def _compare_stakes(
        self, rereader: Rereader, place: Place, followed: Sequence[Followed]
    ) -> None:
        """Hold what contracts say is staked against the books, at the last confirmed block."""
        stakes = [each for each in followed if each.source.covers(place.confirmed_number)]
        totals = [(each, total) for each in stakes if (total := each.source.total) is not None]
        balances = [(each, said) for each in stakes if (said := each.source.balance) is not None]
        await self.late.said_stakes.note_asked(
            place.epoch,
            [each.rule_id for each, _ in totals],
            [each.rule_id for each, _ in balances],
        )
        block = await self.late.hash_of(place.confirmed_number)
        if block is None:
            return
        at = _At(rereader, place, block)
        for each, signature in totals:
            await self._compare_total(at, each, signature)
        for each, signature in balances:
            await self._compare_balances(at, each, signature)

    async def _compare_total(self, at: _At, followed: Followed, signature: str) -> None:
        contracts = followed.source.contracts
        total = await at.asked(
            followed.source, lambda node: read_total(node, contracts, signature, at.block)
        )
        if total is not None:
            await self.late.said_stakes.note_total(
                at.place.epoch, followed.rule_id, at.place.confirmed_number, total
            )

    async def _compare_balances(self, at: _At, followed: Followed, signature: str) -> None:
        contracts = followed.source.contracts
        # Of very many contracts two wallets at least: one that differed, and one of the round.
        most = max(2, BALANCES_PER_TURN_MAX // len(contracts))
        asked = await self.late.said_stakes.wallets_to_ask(followed.rule_id, most)
        said = await at.asked(
            followed.source,
            lambda node: read_balances(node, contracts, signature, asked.wallets, at.block),
        )
        if said is not None:
            await self.late.said_stakes.note_balances(
                at.place.epoch, followed.rule_id, at.place.confirmed_number, said, asked.after
            )

    def _over(self, trouble: str) -> None:
        """Log a trouble when it begins or changes, and its end; not once a turn."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("reading again waits", chain=self.follower.chain.name, trouble=trouble)
        else:
            log.info("reading again goes on", chain=self.follower.chain.name, after=self._trouble)
        self._trouble = trouble


def _part(
    place: Place, followed: Sequence[Followed], kept: Rereading | None
) -> tuple[int, int, int]:
    """Return first and last block to read again now, and where a round begins.

    What was found to differ is read again even where nothing is followed any more.
    """
    begin = min(each.source.from_block for each in followed)
    if kept is not None and kept.found_first is not None:
        begin = min(begin, kept.found_first)
    first = begin if kept is None else max(kept.next_number, begin)
    if first > place.confirmed_number:
        first = begin
    return first, min(first + AUDIT_BLOCKS - 1, place.confirmed_number), begin
