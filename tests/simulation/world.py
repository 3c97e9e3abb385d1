"""What the chain does. The truth is its canonical branch, and how far that is final."""

from random import Random

from fakechain import Branch, Event, FakeChain, MinedBlock, Tx, minted, staked, withdrawn
from scene import ALICE, BOB, CAROL, MINE, TOKEN, VAULT

WALLETS = (ALICE, BOB, CAROL)
STRANGER = b"\xdd" * 20  # a contract that nobody watches, but for its stakes
NOBODY = bytes(20)
DAY_SECONDS = 86_400
WITHDRAWN_RATE = 0.4
MOST = 2**256 - 1


class World:
    """A chain that lives by chance.

    `floor` is the height below which nothing may be left without breaking finality: what was
    final once, by the chain's rule, anywhere. It goes by `depth`, or by its `final` block. With
    `holds` the stranger's contract is one of stakes.
    """

    def __init__(
        self, rng: Random, chain_id: int, depth: int | None, *, holds: bool = False
    ) -> None:
        self.rng = rng
        self.chain = FakeChain(chain_id)
        self.depth = depth
        self.holds = holds
        self.final = 0
        self.floor = 0
        self.left: list[Branch] = []  # to flip back to
        self.highest = 0

    @property
    def head(self) -> MinedBlock:
        return self.chain.head

    def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            long = self.rng.random() < 0.1
            self.chain.mine(*self._txs(), seconds=DAY_SECONDS if long else 12)
        self._settle()

    def finalize(self, number: int) -> None:
        """Let a canonical block be final; it may be lower than the last one was."""
        self.final = number
        self._settle()

    def reorg(self, parting: int, *, shorter: bool = False) -> None:
        """Leave the blocks above `parting` for others, with some of their transactions."""
        orphans = [tx for block in self.chain.branch.blocks[parting + 1 :] for tx in block.txs]
        height = self.head.number
        self.left.append(self.chain.branch)
        self.chain.fork_from(parting)
        until = parting if shorter else height + self.rng.randint(-1, 2)
        self._refill(orphans, until)

    def flip(self, branch: Branch) -> None:
        """Go back to a branch that was left."""
        self.left.remove(branch)
        self.left.append(self.chain.branch)
        self.chain.switch_to(branch)
        if self.depth is None:
            self.final = min(self.final, self.head.number)
        self._settle()

    def aside(self, parting: int, blocks: int) -> Branch:
        """Make a branch that is not the chain's: what a node believes that is by itself."""
        canonical = self.chain.branch
        orphans = [tx for block in canonical.blocks[parting + 1 :] for tx in block.txs]
        branch = self.chain.fork_from(parting)
        self._refill(orphans, parting + blocks)
        self.chain.switch_to(canonical)
        return branch

    def grow(self, branch: Branch) -> None:
        """Add a block to a branch that is not the chain's."""
        canonical = self.chain.branch
        self.chain.switch_to(branch)
        self.chain.mine(*self._txs())
        self.chain.switch_to(canonical)

    def common(self, branch: Branch) -> int:
        """Return the last height that a branch shares with the canonical one."""
        pairs = zip(branch.blocks, self.chain.branch.blocks, strict=False)
        return sum(ours.hash == theirs.hash for ours, theirs in pairs) - 1

    def path_to(self, block_hash: bytes) -> list[MinedBlock]:
        """Return the blocks from the genesis block on that end with this one."""
        path = []
        while block_hash in self.chain.by_hash:
            path.append(self.chain.by_hash[block_hash])
            block_hash = path[-1].parent
        return path[::-1]

    def is_canonical(self, block: bytes, number: int) -> bool:
        return number <= self.head.number and self.chain.block(number).hash == block

    def _refill(self, orphans: list[Tx], until: int) -> None:
        """Mine up to a height; what was in blocks before comes again, or otherwise, or never."""
        self.rng.shuffle(orphans)
        while self.head.number < until:
            again = [orphans.pop() for _ in range(self.rng.randint(0, len(orphans)))]
            self.chain.mine(*map(self._again, again), *self._txs())
        self._settle()

    def _again(self, tx: Tx) -> Tx:
        """The same transaction, which may do something else where other ones came before it."""
        match self.rng.randrange(8):
            case 0:
                return Tx(tx.hash, tx.events, tx.kind, reverted=not tx.reverted)
            case 1:
                return Tx(tx.hash, tuple(self._event() for _ in tx.events), tx.kind)
            case _:
                return tx

    def _settle(self) -> None:
        self.highest = max(self.highest, self.head.number)
        final = self.final if self.depth is None else self.head.number - self.depth
        self.floor = max(self.floor, final)

    def _txs(self) -> list[Tx]:
        return [
            self.chain.tx(*(self._event() for _ in range(self.rng.randint(1, 3))))
            for _ in range(self.rng.choice((0, 0, 1, 1, 2)))
        ]

    def _event(self) -> Event:
        rng = self.rng
        wallet = rng.choice(WALLETS)
        amount = rng.choice((rng.randint(0, 20 * TOKEN), rng.randint(0, 9), 10**18))
        moves = withdrawn if self.holds and rng.random() < WITHDRAWN_RATE else staked
        return rng.choices(
            (
                staked(VAULT, wallet, amount),
                minted(MINE, wallet, amount),
                withdrawn(VAULT, wallet, amount),  # earns nothing
                Event(VAULT, staked(VAULT, wallet, 0).topics, b""),  # is set aside
                staked(VAULT, wallet, rng.randint(10**32, MOST)),  # is too large
                staked(VAULT, NOBODY, amount),  # earns for nobody
                Event(VAULT, (), b"\x01"),  # says nothing
                moves(STRANGER, wallet, amount),
            ),
            (4, 3, 1, 1, 1, 1, 1, 6 if self.holds else 1),
        )[0]
