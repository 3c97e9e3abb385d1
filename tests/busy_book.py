"""A small set of books in which everything has happened that the books know of."""

import uuid
from dataclasses import dataclass, replace

from conftest import fake_hash

from ledger.ids import AccountRef, MovementRef
from ledger.operating import Operating, PriceRow
from ledger.outcomes import Charged, Insufficient, Refunded
from ledger.spending import Spending
from ledger.watching import ChainEntry, RuleEntry, SeenBlock, SeenEvent, Watching

CREDIT = 1_000_000
DAY_SECONDS = 86_400
START_TIME = 1_700_000_000
ALICE, BOB, CAROL = (bytes([n]) * 20 for n in (1, 2, 3))


@dataclass
class Chain:
    """A chain that is told block by block, and may fork."""

    watching: Watching
    chain_id: int
    rules: dict[str, int]
    number: int
    hash: bytes
    forks: int = 0
    events: int = 0

    async def block(
        self, *events: SeenEvent, confirm: bool = True, days: int = 0
    ) -> tuple[int, bytes]:
        """Append a block with these events, and make it final."""
        parent, self.number = self.hash, self.number + 1
        self.hash = fake_hash(self.chain_id, self.number, self.forks)
        time = START_TIME + 12 * self.number + DAY_SECONDS * days
        await self.watching.append(
            head_number=self.number,
            blocks=[SeenBlock(self.number, self.hash, parent, time)],
            events=[replace(event, block_number=self.number) for event in events],
            set_aside=[],
            confirm=(self.number, self.hash) if confirm else None,
            remember=50,
        )
        return self.number, self.hash

    def event(self, rule: str, wallet: bytes, credits_micro: int) -> SeenEvent:
        """An event that no block has yet."""
        self.events += 1
        no = self.events
        return SeenEvent(
            block_number=0,
            tx_hash=fake_hash("tx", self.chain_id, no),
            ordinal=no % 3,
            role=0,
            log_index=no,
            rule_id=self.rules[rule],
            wallet=wallet,
            amount=credits_micro * 10**12,
            credits=credits_micro,
        )

    async def leave(self, back_to: tuple[int, bytes], *, confirmed: bool) -> None:
        """Go back to a block, on another fork from there."""
        number, block_hash = back_to
        await (self.watching.reverse(number) if confirmed else self.watching.drop(number))
        self.number, self.hash, self.forks = number, block_hash, self.forks + 1


async def follow(watching: Watching, chain_id: int) -> Chain:
    """Enter the rules of a chain that has just begun."""
    rules = await watching.enter_rules(
        [
            RuleEntry(
                name=f"{name}-{chain_id}",
                contract=bytes([no]) * 20,
                event="staking-rewards.Staked",
                from_block=1,
                cap_account=cap,
                cap_account_day=cap_day,
                expires_days=expires_days,
            )
            for no, (name, cap, cap_day, expires_days) in enumerate(
                [
                    ("plain", None, None, None),
                    ("capped", 25 * CREDIT, 10 * CREDIT, None),
                    ("gone", None, None, 30),
                    ("ending", None, None, 20_000),
                ]
            )
        ]
    )
    short = {name.partition("-")[0]: rule_id for name, rule_id in rules.items()}
    position = await watching.position()
    return Chain(watching, chain_id, short, position.indexed_number, position.indexed_hash)


def entry_of(chain_id: int) -> ChainEntry:
    return ChainEntry(
        chain_id=chain_id,
        name=f"chain-{chain_id}",
        genesis=fake_hash("genesis", chain_id),
        depth=2,
        anchor_number=0,
        anchor_hash=fake_hash("genesis", chain_id),
        anchor_time=START_TIME,
    )


@dataclass
class Customer:
    """An account that an app spends from."""

    spending: Spending
    app_id: int
    account: AccountRef

    async def pay(self, operation: str, units: int = 1) -> MovementRef:
        outcome = await self.spending.charge(
            app_id=self.app_id,
            account=self.account,
            key=uuid.uuid4().hex,
            operation=operation,
            units=units,
        )
        assert isinstance(outcome, Charged), outcome
        return outcome.charge.movement

    async def is_refused(self, operation: str, units: int) -> None:
        outcome = await self.spending.charge(
            app_id=self.app_id,
            account=self.account,
            key=uuid.uuid4().hex,
            operation=operation,
            units=units,
        )
        assert isinstance(outcome, Insufficient), outcome

    async def is_given_back(self, charge: MovementRef, amount: int | None = None) -> None:
        outcome = await self.spending.refund(
            app_id=self.app_id, charge=charge, key=uuid.uuid4().hex, amount=amount
        )
        assert isinstance(outcome, Refunded), outcome


@dataclass(frozen=True)
class BusyBook:
    """Whose accounts the book has."""

    app_id: int
    alice: AccountRef
    bob: AccountRef
    carol: AccountRef


async def fill(database_url: str) -> BusyBook:
    """Let everything happen once."""
    app_id = await _open_shop(database_url)
    async with (
        Watching.lead(database_url, entry_of(1), "test") as watching_one,
        Watching.lead(database_url, entry_of(2), "test") as watching_two,
        Spending.open(database_url, lanes=1) as spending,
    ):
        one = await follow(watching_one, 1)
        two = await follow(watching_two, 2)
        alice, bob, carol = [
            Customer(
                spending,
                app_id,
                (
                    await spending.open_wallet_account(app_id=app_id, chain_id=1, address=wallet)
                ).account,
            )
            for wallet in (ALICE, BOB, CAROL)
        ]
        await spending.open_account(app_id=app_id, name="somebody without credits")
        await _spend_and_refund(one, alice)
        await _lose_a_grant(one, alice)
        await _meet_caps(one, bob)
        await _expire(one, two, carol)
        await _leave_something_pending(one, two)
        await watching_one.expire_idle(100)
    return BusyBook(app_id, alice.account, bob.account, carol.account)


async def _open_shop(database_url: str) -> int:
    async with Operating.open(database_url) as operating:
        await operating.create_app_key(
            app="shop", scopes=["charge:write"], digest=fake_hash("key"), hint="cd_…x"
        )
        await operating.apply_prices(
            [
                PriceRow("draw", CREDIT, CREDIT // 2, "picture"),
                PriceRow("look", 0, 0, "picture"),
            ]
        )
    return 1


async def _spend_and_refund(chain: Chain, alice: Customer) -> None:
    await chain.block(
        chain.event("plain", ALICE, 3 * CREDIT), chain.event("plain", ALICE, 3 * CREDIT)
    )
    await chain.block(chain.event("plain", ALICE, 4 * CREDIT + 7))
    await alice.pay("look")
    crossing = await alice.pay("draw", 8)  # 5 credits: two lots
    await alice.is_given_back(crossing, CREDIT // 3)
    await alice.is_given_back(crossing, 2 * CREDIT)  # over both legs
    await alice.is_given_back(await alice.pay("draw"))
    await alice.is_refused("draw", 1_000)


async def _lose_a_grant(chain: Chain, alice: Customer) -> None:
    """A grant is spent, orphaned, comes back as another incarnation, and pays the debt."""
    before = chain.number, chain.hash
    first, second = (chain.event("plain", ALICE, 6 * CREDIT) for _ in range(2))
    await chain.block(first)
    await chain.block(second)
    crossing = await alice.pay("draw", 20)  # 11 credits: into the first of the two
    await chain.leave(before, confirmed=True)
    await alice.is_given_back(crossing, CREDIT)  # pays debt
    await chain.block()
    await chain.block(first)  # repays the rest
    await alice.is_given_back(crossing, CREDIT)  # nothing is owed: a lot of its own
    await alice.pay("draw")


async def _meet_caps(chain: Chain, bob: Customer) -> None:
    await chain.block(
        chain.event("capped", BOB, 8 * CREDIT), chain.event("capped", BOB, 8 * CREDIT)
    )
    await chain.block(chain.event("capped", BOB, 5 * CREDIT))  # nothing is left of the day
    await chain.block(chain.event("capped", BOB, 9 * CREDIT), days=1)
    await bob.pay("draw", 24)


async def _expire(one: Chain, two: Chain, carol: Customer) -> None:
    await one.block(one.event("ending", CAROL, 2 * CREDIT), one.event("plain", CAROL, CREDIT))
    await one.block(one.event("gone", CAROL, 5 * CREDIT))
    await carol.pay("draw", 2)  # posts the expiry first
    await two.block(two.event("gone", CAROL, 5 * CREDIT), two.event("plain", ALICE, CREDIT))
    await two.block(two.event("ending", BOB, CREDIT))


async def _leave_something_pending(one: Chain, two: Chain) -> None:
    for chain in (one, two):
        stays = await chain.block(chain.event("plain", BOB, CREDIT), confirm=False)
        await chain.block(chain.event("plain", ALICE, CREDIT), confirm=False)
        await chain.leave(stays, confirmed=False)
        await chain.block(chain.event("plain", CAROL, CREDIT), confirm=False)
        await chain.block(confirm=False)
