"""Who acts in a busy book: a chain that is told block by block, and customers who spend."""

import uuid
from dataclasses import dataclass, replace

from conftest import fake_hash

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Charged, Insufficient, Refunded
from ledger.spending import Spending
from ledger.watching import ChainEntry, RuleEntry, SeenBlock, SeenEvent, StakeTerms, Watching

CREDIT = 1_000_000
DAY_SECONDS = 86_400
START_TIME = 1_700_000_000
# A credit a day for each 10^18 staked.
HELD = StakeTerms(10**18 * DAY_SECONDS, ((0, CREDIT),), DAY_SECONDS)


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

    async def confirm(self) -> None:
        """Make the last block final, and grant what stakes earned before it."""
        while (await self.watching.position()).confirmed_number < self.number:
            await self.watching.append(
                head_number=self.number,
                blocks=[],
                events=[],
                set_aside=[],
                confirm=(self.number, self.hash),
                remember=50,
            )

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
                on_reversal="absorb" if name == "absorbed" else "debt",
                cap_total=1_000 * CREDIT if name == "capped" else None,
                stakes=HELD if name == "held" else None,
            )
            for no, (name, cap, cap_day, expires_days) in enumerate(
                [
                    ("plain", None, None, None),
                    ("capped", 25 * CREDIT, 10 * CREDIT, None),
                    ("gone", None, None, 30),
                    ("ending", None, None, 20_000),
                    ("absorbed", None, None, None),
                    ("held", None, None, None),
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
            api_key_id=1 if units > 1 else None,
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
            api_key_id=1 if units > 1 else None,
        )
        assert isinstance(outcome, Insufficient), outcome

    async def is_given_back(self, charge: MovementRef, amount: int | None = None) -> None:
        outcome = await self.spending.refund(
            app_id=self.app_id, charge=charge, key=uuid.uuid4().hex, amount=amount
        )
        assert isinstance(outcome, Refunded), outcome
