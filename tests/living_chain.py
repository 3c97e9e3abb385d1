"""A chain that lives by chance: it grows, earns and forks, the same way for the same seed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakechain import Event, FakeChain, Tx, minted, staked, withdrawn
from scene import ALICE, BOB, CAROL, DEPTH, MINE, TOKEN, VAULT

WALLETS = (ALICE, BOB, CAROL)


class LivingChain:
    def __init__(self, chain: FakeChain, rng: random.Random) -> None:
        self.chain = chain
        self.rng = rng

    @asynccontextmanager
    async def alive(self, pause_seconds: float) -> AsyncIterator[None]:
        """Let it live while the context lasts."""

        async def live() -> None:
            while True:
                self.live_on()
                await asyncio.sleep(self.rng.uniform(0, 2 * pause_seconds))

        life = asyncio.create_task(live())
        try:
            yield
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    def live_on(self) -> None:
        """Grow by a block or two; one time in five, leave blocks that nobody has confirmed yet."""
        if self.rng.random() < 0.2:
            self.fork(self.rng.randint(1, DEPTH))
        else:
            self.grow(self.rng.randint(1, 2))

    def grow(self, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.mine(*self._new_txs())

    def fork(self, depth: int) -> None:
        """Leave the last `depth` blocks for a longer branch with most of their transactions."""
        height = self.chain.head.number
        parting = max(0, height - depth)
        orphans = [tx for block in self.chain.branch.blocks[parting + 1 :] for tx in block.txs]
        self.rng.shuffle(orphans)
        self.chain.fork_from(parting)
        while self.chain.head.number <= height:
            again = [orphans.pop() for _ in range(self.rng.randint(0, len(orphans)))]
            self.chain.mine(*again, *self._new_txs())

    def _new_txs(self) -> list[Tx]:
        return [
            self.chain.tx(*(self._event() for _ in range(self.rng.randint(1, 3))))
            for _ in range(self.rng.choice((0, 0, 1, 1, 2)))
        ]

    def _event(self) -> Event:
        wallet = self.rng.choice(WALLETS)
        amount = self.rng.randint(0, 20 * TOKEN)
        match self.rng.randrange(8):
            case 0 | 1 | 2 | 3:
                return staked(VAULT, wallet, amount)
            case 4 | 5:
                return minted(MINE, wallet, amount)
            case 6:
                return withdrawn(VAULT, wallet, amount)  # earns nothing
            case _:
                return Event(VAULT, staked(VAULT, wallet, 0).topics, b"")  # is set aside
