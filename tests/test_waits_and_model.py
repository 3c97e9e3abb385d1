"""What waits, held against a few lines of Python that say what waiting means."""

import asyncio
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from books import Books
from conftest import CHAIN_ID, fake_hash
from followed_chain import Earned, FollowedChain, source
from proof_of_the_books import assert_sound

from ledger.audit import audit, render
from ledger.late import Late
from ledger.watching import SeenEvent

WALLETS = [bytes([each]) * 20 for each in (0xA1, 0xB0, 0xCA)]
TURNS = 60
REMEMBERED = 20  # blocks that a reorg may leave


@dataclass
class Seen:
    """An event on the canonical chain; `due` is the block that it is granted with."""

    name: str
    wallet: bytes
    credits: int
    block: int
    place: int
    due: int
    granted: int | None = None


@dataclass
class Model:
    """What each event of the chain is granted, under a cap that all share."""

    cap: int
    confirmed: int = -1
    events: list[Seen] = field(default_factory=list)

    def confirm(self, number: int) -> None:
        """Grant what is due up to a block, in the order in which it is."""
        self.confirmed = number
        due = [each for each in self.events if each.granted is None and each.due <= number]
        for each in sorted(due, key=lambda each: (each.due, each.block, each.place)):
            used = sum(other.granted or 0 for other in self.events)
            each.granted = min(each.credits, max(0, self.cap - used))

    def leave(self, to: int) -> None:
        """Forget the events above a block: what they were granted is taken back."""
        self.events = [each for each in self.events if each.block <= to]
        self.confirmed = min(self.confirmed, to)


@dataclass
class Told:
    """The same, told to the model and to the books."""

    chain: FollowedChain
    rng: Random
    model: Model
    names: int = 0
    left: list[str] = field(default_factory=list)  # what the chain has left may come back

    async def grow(self, fork: str) -> None:
        number = len(self.chain.blocks)
        events = [self._event(number, place) for place in range(self.rng.choice((0, 1, 1, 3)))]
        self.model.events += events
        await self.chain.grow(
            *(Earned(e.wallet, e.credits, e.name, blocks_more=e.due - e.block) for e in events),
            fork=fork,
        )

    async def confirm(self) -> None:
        number = self.rng.randint(self.model.confirmed, len(self.chain.blocks) - 1)
        for _ in range(len(self.chain.blocks)):
            if (await self.chain.watching.position()).confirmed_number >= number:
                break
            await self.chain.confirm(self.chain.blocks[number])
        self.model.confirm(number)

    async def leave(self) -> None:
        last = len(self.chain.blocks) - 1
        to = self.rng.randint(max(0, last - REMEMBERED), last)
        leaves = self.chain.reverse if to < self.model.confirmed else self.chain.drop
        self.left += [each.name for each in self.model.events if each.block > to]
        await leaves(self.chain.blocks[to])
        self.model.leave(to)

    async def come_late(self) -> None:
        """An event of a final block comes in, or one that is in the books is told again."""
        if self.model.confirmed < 0:
            return
        block = self.chain.blocks[self.rng.randint(0, self.model.confirmed)]
        known = [each for each in self.model.events if each.block == block.number]
        is_new = not known or self.rng.random() < 0.7
        event = self._event(block.number, 50 + self.names) if is_new else known[0]
        async with Late.open(self.chain.database_url, CHAIN_ID) as late:
            place = await late.place()
            assert place is not None
            seen = SeenEvent(
                block_number=block.number,
                tx_hash=fake_hash("tx", event.name),
                ordinal=0,
                role=0,
                log_index=event.place,
                rule_id=self.chain.rule_id,
                wallet=event.wallet,
                amount=1,
                credits=event.credits,
                blocks_more=event.due - event.block if is_new else self.rng.choice((0, 1, 99)),
            )
            admitted = await late.admit(place.epoch, {block.number: block}, [seen])
        assert admitted == is_new
        if is_new:
            self.model.events.append(event)
            self.model.confirm(self.model.confirmed)

    def _event(self, block: int, place: int) -> Seen:
        rng, self.names = self.rng, self.names + 1
        name = self.left.pop() if self.left and rng.random() < 0.5 else f"{self.names}"
        credits_micro = rng.choice((0, 1, 3, 20, 50))
        more = rng.choice((0, 1, 2, 7, 25)) if credits_micro > 1 else 0
        return Seen(name, rng.choice(WALLETS), credits_micro, block, place, block + more)

    def require_same(self, books: Books) -> None:
        confirmed = {
            (fake_hash("tx", e.name), 0): e.granted
            for e in self.model.events
            if e.granted is not None
        }
        pending = {
            (fake_hash("tx", e.name), 0): e.credits for e in self.model.events if e.granted is None
        }
        assert books.confirmed() == confirmed
        assert books.pending() == pending
        for wallet in WALLETS:
            granted = sum(e.granted or 0 for e in self.model.events if e.wallet == wallet)
            assert books.account(wallet).available == granted
        waits = books.rows(
            "select e.tx_hash, y.due_number from creditd.waiting_event y"
            " join creditd.event e using (event_no)"
        )
        assert dict(waits) == {
            fake_hash("tx", e.name): e.due
            for e in self.model.events
            if e.granted is None and e.due > e.block
        }


@pytest.mark.parametrize("seed", range(12))
def test_the_books_grant_what_waiting_means(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Any events, steps, reorgs and late events; in large steps or small, capped or not."""
    rng = Random(seed)
    cap = rng.choice((100, 10**9))
    if rng.random() < 0.5:
        for bound in ("MIN", "MAX"):
            monkeypatch.setattr(f"ledger.watching.EVENTS_AT_ONCE_{bound}", 2)

    async def main() -> None:
        rule = source() if cap > 100 else replace(source(), cap_total=cap)
        async with FollowedChain.lead(database_url, rule=rule) as chain:
            story = Told(chain, rng, Model(cap))
            with Books.open(database_url) as books:
                for turn in range(TURNS):
                    for _ in range(rng.randint(1, 4)):
                        await story.grow(str(turn))
                    if rng.random() < 0.8:
                        await story.confirm()
                    if rng.random() < 0.3:
                        await story.come_late()
                    if rng.random() < 0.15:
                        await story.leave()
                    story.require_same(books)
                    if turn % 20 == 0:
                        report = await audit(database_url)
                        assert report.balanced, render(report)

    asyncio.run(main())
    assert_sound(database_url)
