"""Books to measure on: accounts that earned their credits on a chain, and an app to spend them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from measuring import Meter, Sample

from ledger.audit import audit, render
from ledger.ids import AccountRef
from ledger.migrate import migrate
from ledger.operating import Operating
from ledger.price_book import PriceRow
from ledger.watching import ChainEntry, Position, RuleEntry, SeenBlock, SeenEvent, Watching

APP: Final = "bench"
OPERATION: Final = "call"
COST: Final = 1_000  # micro-credits a charge takes
CREDITS_EACH: Final = 10**12
EVENTS_PER_BLOCK: Final = 20  # a busy contract's
EVENTS_PER_STEP: Final = 1_000  # what a step of the watcher appends: several blocks
REMEMBERED: Final = 1_000_000  # blocks: all of them

_CHAIN: Final = ChainEntry(1, "bench", bytes(32), 1, -1, bytes(32), 0)
_RULE: Final = RuleEntry("given", bytes(20), "staking-rewards.Staked", 0, None, None, None)
_FIRST_TIME: Final = 1_700_000_000


def wallet(number: int) -> bytes:
    """Return the address of the account of that number: spread over its table as hashes are."""
    return hashlib.sha256(number.to_bytes(8)).digest()[:20]


def fill(url: str, accounts: int = 10_000) -> Sequence[AccountRef]:
    """Make books with a price and accounts of one grant each; return them for app 1."""
    return make(url, [(wallet(number), CREDITS_EACH) for number in range(accounts)])


def make(url: str, grants: Sequence[tuple[bytes, int]]) -> Sequence[AccountRef]:
    """Make books with a price and grants (wallet, micro-credits), in this order."""
    migrate(url)
    asyncio.run(_set_up(url))
    asyncio.run(_grant(url, grants))
    return accounts_of(url)


def accounts_of(url: str) -> Sequence[AccountRef]:
    """Open all wallets' accounts to the app, as each user would have, and return them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into creditd.account_access (root_id, account_id, app_id)"
            " select root_id, account_id, 1 from creditd.wallet on conflict do nothing"
        )
        rows = connection.execute(
            "select root_id, account_id from creditd.wallet order by address"
        ).fetchall()
        connection.execute("vacuum analyze")
    return [AccountRef(*row) for row in rows]


def audited(url: str) -> Sample:
    """Audit the books: entries a second. Ends the run on a breach."""
    meter = Meter(url)
    report = asyncio.run(audit(url))
    if not report.balanced:
        raise SystemExit(f"the books do not balance:\n{render(report)}")
    return meter.sample(report.entries)


async def _set_up(url: str) -> None:
    async with Operating.open(url) as operating:
        await operating.apply_prices([PriceRow(OPERATION, COST, 0, OPERATION)])
        await operating.create_app_key(
            app=APP, scopes=["charge:write"], digest=bytes(32), hint="none"
        )


async def _grant(url: str, grants: Sequence[tuple[bytes, int]]) -> None:
    async with leading(url) as history:
        for first in range(0, len(grants), EVENTS_PER_STEP):
            await history.append(grants[first : first + EVENTS_PER_STEP])
            await history.confirm()


class History:
    """A chain as its watcher tells the books of it, block after block. Made by `leading`."""

    def __init__(self, watching: Watching, rule_id: int, position: Position) -> None:
        self._watching = watching
        self._rule_id = rule_id
        self._indexed = position.indexed_number
        self._confirmed = position.confirmed_number

    async def append(self, grants: Sequence[tuple[bytes, int]]) -> None:
        """Append blocks with an event for each of `grants` (wallet, micro-credits): pending."""
        blocks: list[SeenBlock] = []
        events: list[SeenEvent] = []
        for first in range(0, len(grants), EVENTS_PER_BLOCK):
            self._indexed += 1
            blocks.append(_block(self._indexed))
            included = grants[first : first + EVENTS_PER_BLOCK]
            events += [
                self._event(self._indexed, place, *given) for place, given in enumerate(included)
            ]
        await self._watching.append(
            head_number=self._indexed,
            blocks=blocks,
            events=events,
            set_aside=[],
            confirm=None,
            remember=REMEMBERED,
        )

    def _event(self, number: int, place: int, address: bytes, micro: int) -> SeenEvent:
        return SeenEvent(
            block_number=number,
            tx_hash=hashlib.sha256(b"%d %d" % (number, place)).digest(),
            ordinal=0,
            role=0,
            log_index=place,
            rule_id=self._rule_id,
            wallet=address,
            amount=1,
            credits=micro,
        )

    async def confirm(self) -> int:
        """Confirm all pending blocks, as many in a transaction as the books take at once.

        Returns how many events they had.
        """
        events = 0
        while self._confirmed < self._indexed:
            events += await self._watching.append(
                head_number=self._indexed,
                blocks=[],
                events=[],
                set_aside=[],
                confirm=(self._indexed, _hash(self._indexed)),
                remember=REMEMBERED,
            )
            self._confirmed = (await self._watching.position()).confirmed_number
        return events


@asynccontextmanager
async def leading(url: str) -> AsyncIterator[History]:
    """Lead the books' chain, and go on where they stand."""
    async with Watching.lead(url, _CHAIN, APP) as watching:
        rule_id = (await watching.enter_rules([_RULE]))[_RULE.name]
        yield History(watching, rule_id, await watching.position())


def _block(number: int) -> SeenBlock:
    return SeenBlock(number, _hash(number), _hash(number - 1), _FIRST_TIME + number)


def _hash(number: int) -> bytes:
    return hashlib.sha256(b"block %d" % number).digest() if number >= 0 else bytes(32)
