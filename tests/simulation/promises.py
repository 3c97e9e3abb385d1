"""What is held after every turn, and what must be true when all faults are over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from books import Books

from simulation.drawn import Drawn
from simulation.nodes import Seen, Url
from simulation.oracle import Cause, told
from simulation.world import World

NO_HASH = bytes(32)

_CHAIN: LiteralString = """
    select c.state, c.reason, c.indexed_number, c.indexed_hash, c.confirmed_number,
      c.confirmed_hash, coalesce(b.number, c.confirmed_number), coalesce(b.hash, c.confirmed_hash),
      c.epoch, c.leader
    from creditd.chain c
      left join creditd.block b on (b.chain_id, b.number) = (c.chain_id, c.accruing_number)
    where c.chain_id = %s"""
_EVENTS: LiteralString = """
    select state, case when ordinal < 0 then substr(tx_hash, 5) else tx_hash end, ordinal, wallet,
      credits, coalesce(granted, 0)
    from creditd.event where chain_id = %s and state <> 'reversed'"""
_BALANCES: LiteralString = """
    select w.address, a.available - a.debt
    from creditd.wallet w join creditd.account a using (root_id, account_id)
    where w.chain_id = %s and a.available <> a.debt"""
_ASIDE: LiteralString = "select tx_hash, ordinal from creditd.set_aside where chain_id = %s"
_ACCEPTED: LiteralString = """
    select new_hash from creditd.accepted_reorg
    where (chain_id, number, left_hash) = (%s, %s, %s)"""
_OLDEST: LiteralString = """
    select hash, number from creditd.block where chain_id = %s order by number limit 1"""


@dataclass(frozen=True)
class Standing:
    """Where the books stand.

    `granted` is the confirmed block, or the next one if some stakes' periods that end with it are
    granted already.
    """

    state: str
    reason: str | None
    indexed: int
    indexed_hash: bytes
    confirmed: int
    confirmed_hash: bytes
    granted: int
    granted_hash: bytes
    epoch: int
    leader: str

    def __str__(self) -> str:
        return (
            f"{self.state} at {self.indexed} {self.indexed_hash.hex()[:6]}, confirmed to"
            f" {self.confirmed} {self.confirmed_hash.hex()[:6]}, epoch {self.epoch}"
            + (f": {self.reason[:160]}" if self.reason else "")
        )


class Broken(AssertionError):
    """A promise was not kept."""


class Promises:
    """The promises of docs/faults.md, held against the books of one chain."""

    def __init__(self, world: World, seen: Seen, urls: Sequence[Url], drawn: Drawn) -> None:
        self.world = world
        self.seen = seen
        self.urls = urls
        self.drawn = drawn
        self._excused: set[bytes] = set()

    def standing(self, books: Books) -> Standing | None:
        """Return where the books stand; None before the chain is in them."""
        rows = books.rows(_CHAIN, self.world.chain.chain_id)
        return Standing(*rows[0]) if rows else None

    def hold(self, books: Books, before: Standing | None, *, still: bool) -> None:
        """Hold the books against what they said before a turn.

        `still` says that nothing but the daemon moved while it took the turn.
        """
        after = self.standing(books)
        if after is None:
            return
        self._nothing_is_missing_or_invented(books, after)
        self._nothing_is_granted_that_was_not_final(after)
        if before is None:
            return
        self._a_block_leaves_for_another_one_only(before, after)
        self._what_is_granted_is_taken_back_by_leave_only(books, before, after)
        self._a_halt_ends_by_proof(before, after)
        self._leaders_do_not_go_back(before, after)
        if still:
            self._nobody_contradicted(before, after)

    def _nothing_is_missing_or_invented(self, books: Books, now: Standing) -> None:
        """The books say what the blocks say that they have read: all of it, and nothing else."""
        chain_id = self.world.chain.chain_id
        path = self.world.path_to(now.indexed_hash)
        if now.indexed >= 0 and (not path or path[-1].number != now.indexed):
            raise Broken(f"the books are at block {now.indexed}, which no chain has")
        should = told(path, now.confirmed, self.drawn.sources, self.drawn.held)
        confirmed: dict[Cause, tuple[bytes, int]] = {}
        pending: dict[Cause, tuple[bytes, int]] = {}
        for state, tx_hash, ordinal, wallet, credits_micro, granted in books.rows(
            _EVENTS, chain_id
        ):
            cause = tx_hash, ordinal
            if state == "confirmed":
                confirmed[cause] = wallet, granted
            else:
                pending[cause] = wallet, credits_micro
        if now.granted > now.confirmed:  # a part of them, so far
            should.confirmed |= {
                cause: said for cause, said in should.early.items() if cause in confirmed
            }
        _same("confirmed events", confirmed, should.confirmed)
        _same("pending events", pending, should.pending)
        _same("balances", dict(books.rows(_BALANCES, chain_id)), should.balances())
        _same("logs set aside", set(books.rows(_ASIDE, chain_id)), should.set_aside)

    def _nothing_is_granted_that_was_not_final(self, now: Standing) -> None:
        """Somebody has called it final, and as many as are to agree have shown it.

        Where one URL is enough and has a machine on a fork below what another one calls final, that
        machine's blocks may be taken for final before so much is read that the two can be compared.
        """
        if now.granted < 0:
            return
        if self.drawn.agree == 1 and now.indexed < self.seen.torn_below:
            self._excused.add(now.granted_hash)
        excused = now.granted_hash in self._excused
        if not excused and not self.seen.was_final(now.granted_hash):
            raise Broken(f"block {now.granted} is confirmed, and nobody called it final")
        shown = self.seen.shown_by(now.granted_hash)
        if shown < self.drawn.agree and now.epoch > 0 and not self._is_anchor(now):
            raise Broken(f"block {now.granted} is confirmed, and shown by {shown} nodes")

    def _is_anchor(self, now: Standing) -> bool:
        """Return whether nothing that earns was confirmed yet: the cursor stands where it began."""
        return now.granted < self.drawn.first

    def _a_block_leaves_for_another_one_only(self, before: Standing, after: Standing) -> None:
        """Somebody showed a chain that parts from the books below what left them."""
        path = self.world.path_to(before.indexed_hash)
        stays = {block.hash for block in self.world.path_to(after.indexed_hash)}
        kept = [block for block in path if block.hash in stays]
        if len(kept) == len(path):
            return
        if self.drawn.verify == "off" and len(kept) > before.granted:
            return  # who is believed by his word can have pending blocks read again
        below = path[: len(kept) + 1]
        if not any(self.seen.shows(each.number, each.hash, otherwise=True) for each in below):
            raise Broken(f"block {below[-1].number} left the books, and nobody showed another one")

    def _what_is_granted_is_taken_back_by_leave_only(
        self, books: Books, before: Standing, after: Standing
    ) -> None:
        """The settings allow it, or somebody has accepted the very block that was shown."""
        stays = {block.hash for block in self.world.path_to(after.indexed_hash)}
        number, left = before.granted, before.granted_hash
        if self.drawn.on_deep_reorg == "reverse" or number < 0 or left in stays:
            return
        accepted = books.rows(_ACCEPTED, self.world.chain.chain_id, number, left)
        if not any(self.seen.shows(number, other) for (other,) in accepted):
            raise Broken(f"block {number} was taken back, and nobody accepted what was shown")

    def _a_halt_ends_by_proof(self, before: Standing, after: Standing) -> None:
        ended = before.state == "halted" and after.state != "halted" and after.confirmed >= 0
        if ended and not self.seen.shows(after.confirmed, after.confirmed_hash):
            raise Broken(f"went on after {before.reason!r}, and nobody showed why")
        if after.reason is not None and "defect" in after.reason:
            raise Broken(after.reason)
        if (after.state == "halted") != bool(after.reason):
            raise Broken(f"{after.state}, with the reason {after.reason!r}")

    def hold_leader(self, before: Standing | None, after: Standing | None, who: str) -> None:
        """Who has changed the books, alone, is who leads them."""
        if before != after and after is not None and after.leader != who:
            raise Broken(f"{who} wrote, and {after.leader} leads")

    def _leaders_do_not_go_back(self, before: Standing, after: Standing) -> None:
        if after.epoch < before.epoch:
            raise Broken(f"epoch {after.epoch} follows epoch {before.epoch}")

    def _nobody_contradicted(self, before: Standing, after: Standing) -> None:
        """Who answered plainly all the time had no other block where one was confirmed."""
        if after.confirmed <= max(before.confirmed, -1) or after.state == "halted":
            return
        for url in self.urls:
            shown = {machine.has(after.confirmed) for machine in url.machines}
            if url.is_plain and not shown & {after.confirmed_hash, None}:
                raise Broken(f"block {after.confirmed} is confirmed, and {url.name} has another")

    def hold_at_the_end(self, books: Books, *, reverses: bool, finality_held: bool) -> str:
        """Hold the books of a daemon at rest, whose nodes are all well. Returns how it ended.

        There are two ways, and which of them it is depends on the chain alone: the grants are
        those of the canonical chain; or what was confirmed is no part of it, and the chain is
        halted, because nobody may take back by himself what was final.
        """
        now = self.standing(books)
        if now is None:
            raise Broken("the daemon never got to lead")
        ((oldest, height),) = books.rows(_OLDEST, self.world.chain.chain_id)
        knows = height < 0 or self.world.is_canonical(oldest, height)
        stands = now.granted < 0 or self.world.is_canonical(now.granted_hash, now.granted)
        if now.state == "halted":
            if finality_held and now.granted_hash not in self._excused:
                raise Broken(f"halted for ever, and finality held: {now.reason}")
            if stands or (reverses and knows and height >= 0):
                raise Broken(f"halted for ever, and it could go on: {now.reason}")
            return "halted"
        head, depth = self.world.head, self.world.depth
        if now.indexed_hash != head.hash:
            raise Broken(f"at rest at block {now.indexed}, and the head is {head.number}")
        final = self.world.final if depth is None else head.number - depth
        if now.confirmed != final:
            raise Broken(f"at rest, confirmed to block {now.confirmed} of {final}")
        return "equal"


def _same(what: str, found: Any, wanted: Any) -> None:  # noqa: ANN401 - compared as it is
    if found == wanted:
        return
    if isinstance(found, dict):
        found, wanted = set(found.items()), set(wanted.items())
    raise Broken(
        f"{what}: too much {sorted(found - wanted, key=repr)[:3]},"
        f" too little {sorted(wanted - found, key=repr)[:3]}"
    )
