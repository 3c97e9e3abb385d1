"""Stakes on a chain that tests tell block by block, and what is known of them beside the books."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace

from books import Books
from conftest import CHAIN_ID, fake_hash
from followed_chain import FIRST_BLOCK_TIME, Earned, FollowedChain, source
from staking_model import Change, earned

from ledger.audit import audit
from ledger.findings import AuditReport
from ledger.late import Late
from ledger.watching import ADDS, TAKES, RuleEntry, SeenBlock, SeenEvent, StakeTerms

ALICE, BOB, CAROL = (bytes([each]) * 20 for each in (0xA1, 0xB0, 0xCA))
WALLETS = (ALICE, BOB, CAROL)
DAY = 86_400
TOKEN = 10**18
MIDNIGHT = FIRST_BLOCK_TIME - FIRST_BLOCK_TIME % DAY + DAY
CREDIT = 1_000_000
# One credit for each token and day.
DAILY = StakeTerms(TOKEN * DAY, ((0, CREDIT),), DAY)
CONFIRMS_MAX = 3_000


def staking(terms: StakeTerms = DAILY) -> RuleEntry:
    return replace(source("stakes"), event="staking-rewards", stakes=terms)


def render(report: AuditReport) -> str:
    return "\n".join(f"{c.name}: {c.breaches}" for c in report.checks if c.breaches)


@dataclass
class Staking:
    """Stakes on a chain, and what is known of them beside the books."""

    chain: FollowedChain
    terms: StakeTerms
    changes: list[tuple[int, bytes, Change]] = field(default_factory=list)  # with their blocks

    async def block(self, time: int, *changed: tuple[bytes, int], fork: str = "a") -> SeenBlock:
        """Append a block in which wallets stake (or take out what is below zero)."""
        number = len(self.chain.blocks)
        events = [
            Earned(
                wallet, 0, f"{fork} {number} {place}", 0, abs(amount), ADDS if amount > 0 else TAKES
            )
            for place, (wallet, amount) in enumerate(changed)
        ]
        self.changes += [(number, wallet, Change(time, amount)) for wallet, amount in changed]
        return await self.chain.grow(*events, fork=fork, time=time)

    async def confirm(self, block: SeenBlock | None = None) -> None:
        last = self.chain.blocks[-1] if block is None else block
        for _ in range(CONFIRMS_MAX):
            await self.chain.confirm(last)
            if (await self.chain.watching.position()).confirmed_number == last.number:
                return
        raise AssertionError("never confirmed")

    def leave(self, above: int) -> None:
        self.changes = [each for each in self.changes if each[0] <= above]

    def expected(self, wallet: bytes, confirmed: SeenBlock) -> int:
        period = self.terms.period_seconds
        until = confirmed.time - confirmed.time % period
        changes = [c for n, who, c in self.changes if who == wallet and n <= confirmed.number]
        return int(earned(changes, self.terms, until) // 1)


def follow(
    database_url: str,
    story: Callable[[Staking], Coroutine[object, object, None]],
    terms: StakeTerms = DAILY,
) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url, rule=staking(terms)) as chain:
            await story(Staking(chain, terms))
        report = await audit(database_url)
        assert report.balanced, render(report)

    asyncio.run(main())


def has(database_url: str, wallet: bytes) -> int:
    with Books.open(database_url) as books:
        return books.account(wallet).available


def accruals(database_url: str) -> list[tuple[int, bytes, int]]:
    """Day, wallet and credits of what is confirmed."""
    with Books.open(database_url) as books:
        return [
            (int.from_bytes(cause[4:12]) // DAY - MIDNIGHT // DAY, cause[12:], granted)
            for cause, granted in books.rows(
                "select tx_hash, granted from creditd.event"
                " where ordinal < 0 and state = 'confirmed' order by tx_hash"
            )
        ]


def granted(database_url: str, wallet: bytes) -> int:
    with Books.open(database_url) as books:
        ((granted,),) = books.rows(
            "select coalesce(sum(granted), 0)::bigint from creditd.event"
            " where wallet = %s and state = 'confirmed'",
            wallet,
        )
        return int(granted)


async def late(stakes: Staking, block: SeenBlock, wallet: bytes, amount: int) -> None:
    """A change of a confirmed block that was missed comes in."""
    stakes.changes.append((block.number, wallet, Change(block.time, amount)))
    stakes.changes.sort(key=lambda change: change[0])
    event = SeenEvent(
        block_number=block.number,
        tx_hash=fake_hash("late", block.number, wallet),
        ordinal=0,
        role=ADDS if amount > 0 else TAKES,
        log_index=90 + len(stakes.changes),
        rule_id=stakes.chain.rule_id,
        wallet=wallet,
        amount=abs(amount),
        credits=0,
    )
    async with Late.open(stakes.chain.database_url, CHAIN_ID) as entering:
        place = await entering.place()
        assert place is not None
        assert await entering.admit(place.epoch, {block.number: block}, [event]) == 1
