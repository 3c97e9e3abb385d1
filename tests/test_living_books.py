"""The whole by chance: staking, mining, reorgs, flips, outages, restarts, charges and refunds, and
after each the books are those of a model that only adds and subtracts."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fakechain import Branch
from fakenode import Failure, Reset, Says, Status, Truncated
from living_chain import WALLETS, LivingChain
from model_ledger import Account, ModelLedger
from scene import CREDIT, DEPTH, Scene, mining, scene, stakes
from selling_app import SellingApp

from daemon.watching.follower import Follower
from ledger.errors import LedgerUnavailable
from ledger.outcomes import Charged, ChargeOutcome, Insufficient, MoreThanTaken, Refunded

# Seeds that once found something.
NOTABLE_SEEDS: tuple[int, ...] = ()
SEEDS = (*NOTABLE_SEEDS, *range(20))
SOAK_SEEDS = range(1_000, 1_400)
ACTIONS = 60
PER_DAY = 60 * CREDIT
TRIES_MAX = 5


@dataclass
class Sale:
    """A charge that went through, and what of it was not given back."""

    key: str
    wallet: bytes
    outcome: Charged
    left: int
    refunds: int = 0


@dataclass
class Simulation:
    rng: random.Random
    here: Scene
    app: SellingApp
    living: LivingChain
    model: ModelLedger
    follower: Follower
    branches: list[Branch] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    charges: int = 0

    async def act(self) -> None:
        weighted: list[tuple[int, Callable[[], object]]] = [
            (30, self.live_on),
            (3, self.fork_deep),
            (3, self.flip),
            (25, self.turn),
            (14, self.charge),
            (6, self.refund),
            (3, self.ask_again),
            (3, self.restart),
            (3, self.cut_off),
            (4, self.lose_answers),
            (3, self.lag),
        ]
        weights, actions = zip(*weighted, strict=True)
        (action,) = self.rng.choices(actions, weights)
        done = action()
        if asyncio.iscoroutine(done):
            await done

    def live_on(self) -> None:
        self.living.live_on()

    def fork_deep(self) -> None:
        self.branches.append(self.here.chain.branch)
        self.living.fork(self.rng.randint(DEPTH + 1, 3 * DEPTH))

    def flip(self) -> None:
        """Go back to a branch that was left, or come again from it."""
        if self.branches:
            self.branches.append(self.here.chain.branch)
            self.here.chain.switch_to(self.branches.pop(self.rng.randrange(len(self.branches))))
            self.living.grow(self.rng.randint(0, 4))

    async def turn(self) -> None:
        await self.follower.turn()
        ((confirmed,),) = self.here.books.rows("select confirmed_hash from creditd.chain")
        self.model.confirm(confirmed)

    async def restart(self) -> None:
        await self.here.end(self.follower)
        self.follower = await self.start()
        await self.turn()

    async def start(self) -> Follower:
        sources = stakes(per_account_day=PER_DAY // CREDIT), mining()
        return await self.here.follow(
            *sources, on_deep_reorg="reverse", span_max=self.rng.randint(1, 8)
        )

    def cut_off(self) -> None:
        self.here.books.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )

    def lose_answers(self) -> None:
        failures: list[Failure] = [
            Reset(),
            Truncated(),
            Status(503),
            Says(b"{}"),
            Status(429, "60"),
        ]
        many = self.rng.choices(failures, k=self.rng.randint(1, 6))
        self.here.faults.failures.extend(many)

    def lag(self) -> None:
        self.here.faults.lag_blocks = self.rng.choice((0, 0, 1, 3, 8))
        self.here.faults.lag_every = self.rng.randint(1, 3)

    async def charge(self) -> None:
        wallet, units = self.rng.choice(WALLETS), self.rng.randint(1, 90 * CREDIT)
        self.charges += 1
        key = f"charge {self.charges}"
        account: Account = self.model.accounts[wallet]
        available, debt = account.available, account.debt
        is_covered = account.charge(units)
        outcome = await self._charged(key, wallet, units)
        if not is_covered:
            assert outcome == Insufficient(units, available, debt, 1)
            return
        assert isinstance(outcome, Charged)
        assert (outcome.charge.cost, outcome.charge.available) == (units, account.available)
        self.sales.append(Sale(key, wallet, outcome, units))

    async def _charged(self, key: str, wallet: bytes, units: int) -> ChargeOutcome:
        for _ in range(TRIES_MAX):
            try:
                return await self.app.spending.charge(
                    app_id=self.app.app_id,
                    account=await self.app.account_of(wallet),
                    key=key,
                    operation="unit",
                    units=units,
                )
            except LedgerUnavailable:
                continue
        raise AssertionError("the database is never there")

    async def ask_again(self) -> None:
        if self.sales:
            sale = self.rng.choice(self.sales)
            charge = sale.outcome.charge
            again = await self._charged(sale.key, sale.wallet, charge.units)
            assert again == Charged(charge, replayed=True)

    async def refund(self) -> None:
        if not self.sales:
            return
        sale = self.rng.choice(self.sales)
        sale.refunds += 1
        amount = self.rng.choice((None, self.rng.randint(1, 2 * CREDIT), sale.left or 1))
        for _ in range(TRIES_MAX):
            try:
                outcome = await self.app.spending.refund(
                    app_id=self.app.app_id,
                    charge=sale.outcome.charge.movement,
                    key=f"refund {sale.refunds} of {sale.key}",
                    amount=amount,
                )
                break
            except LedgerUnavailable:
                continue
        wanted = sale.left if amount is None else amount
        if wanted == 0 or wanted > sale.left:
            assert outcome == MoreThanTaken(sale.left)
            return
        account = self.model.accounts[sale.wallet]
        debt = account.debt
        account.spent -= wanted
        sale.left -= wanted
        assert isinstance(outcome, Refunded)
        assert outcome.refund.amount == wanted
        assert outcome.refund.repaid == debt - account.debt
        assert outcome.refund.available == account.available

    def compare(self) -> None:
        """Hold the books against the model, as far as both have read."""
        books = self.here.books
        assert books.confirmed() == self.model.granted()
        ((indexed,),) = books.rows("select indexed_hash from creditd.chain")
        assert books.pending() == self.model.pending(indexed)
        for wallet, account in self.model.accounts.items():
            found = books.account(wallet)
            assert (found.available, found.debt) == (account.available, account.debt)

    async def settle(self) -> None:
        """Let everything be well again, and read to the end."""
        faults = self.here.faults
        faults.failures.clear()
        faults.lag_blocks = 0
        highest = max(
            branch.blocks[-1].number for branch in (*self.branches, self.here.chain.branch)
        )
        self.living.grow(highest + DEPTH + 1 - self.here.chain.head.number)
        for _ in range(3):
            await self.turn()
        standing = self.here.books.standing()
        head = self.here.chain.head.number
        assert (standing.state, standing.reason) == ("following", None)
        assert (standing.indexed, standing.confirmed) == (head, head - DEPTH)


async def simulate(seed: int, database_url: str, actions: int) -> None:
    rng = random.Random(seed)
    async with scene(database_url) as here, SellingApp.open(database_url) as app:
        model = ModelLedger(here.chain, stakes_per_day=PER_DAY)
        simulation = Simulation(
            rng, here, app, LivingChain(here.chain, rng), model, await here.stand_by()
        )
        await simulation.restart()
        for _ in range(actions):
            await simulation.act()
        simulation.compare()
        await simulation.settle()
        simulation.compare()


def run(seed: int, database_url: str, actions: int) -> None:
    try:
        asyncio.run(simulate(seed, database_url, actions))
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_the_books_are_those_of_the_model(database_url: str, seed: int) -> None:
    run(seed, database_url, ACTIONS)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK_SEEDS)
def test_the_books_are_those_of_the_model_however_long_it_takes(
    database_url: str, seed: int
) -> None:
    run(seed, database_url, 6 * ACTIONS)
