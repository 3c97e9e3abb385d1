"""A chain without a node: tests say what its blocks hold, the watcher's way in writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from conftest import CHAIN_ID, GENESIS, fake_hash

from ledger.watching import EARNS, ChainEntry, RuleEntry, SeenBlock, SeenEvent, Watching

FIRST_BLOCK_TIME = 1_700_000_000
REMEMBER = 1_000


@dataclass(frozen=True)
class Earned:
    """An event: transactions of one name are one transaction, whichever block they are in."""

    wallet: bytes
    credits: int
    tx: str
    ordinal: int = 0
    amount: int = 1
    role: int = EARNS
    blocks_more: int = 0


def source(
    name: str = "stakes",
    *,
    from_block: int = 0,
    cap_account: int | None = None,
    cap_account_day: int | None = None,
    expires_days: int | None = None,
) -> RuleEntry:
    return RuleEntry(
        name=name,
        contract=bytes(20),
        event="staking-rewards.Staked",
        from_block=from_block,
        cap_account=cap_account,
        cap_account_day=cap_account_day,
        expires_days=expires_days,
    )


class FollowedChain:
    def __init__(self, database_url: str, watching: Watching, rule_id: int) -> None:
        self.watching = watching
        self.database_url = database_url
        self.blocks: list[SeenBlock] = []
        self.rule_id = rule_id

    @classmethod
    @asynccontextmanager
    async def lead(
        cls,
        database_url: str,
        *,
        rule: RuleEntry | None = None,
        depth: int | None = 2,
        chain_id: int = CHAIN_ID,
    ) -> AsyncIterator["FollowedChain"]:
        chain = ChainEntry(
            chain_id=chain_id,
            name=f"chain-{chain_id}",
            genesis=GENESIS,
            depth=depth,
            anchor_number=-1,
            anchor_hash=bytes(32),
            anchor_time=0,
        )
        rule = source() if rule is None else rule
        async with Watching.lead(database_url, chain, "test") as watching:
            yield cls(database_url, watching, (await watching.enter_rules([rule]))[rule.name])

    async def grow(
        self, *events: Earned, fork: str = "a", time: int | None = None, head_number: int = 0
    ) -> SeenBlock:
        """Append a block with these events; nothing is confirmed."""
        number = len(self.blocks)
        block = SeenBlock(
            number=number,
            hash=fake_hash("block", fork, number),
            parent=self.blocks[-1].hash if self.blocks else bytes(32),
            time=FIRST_BLOCK_TIME + number if time is None else time,
        )
        await self.watching.append(
            head_number=max(number, head_number),
            blocks=[block],
            events=[self._seen(block, place, event) for place, event in enumerate(events)],
            set_aside=[],
            confirm=None,
            remember=REMEMBER,
        )
        self.blocks.append(block)
        return block

    async def confirm(self, block: SeenBlock | None = None) -> int:
        """Confirm up to a block, the last one if none is named."""
        last = self.blocks[-1] if block is None else block
        return await self.watching.append(
            head_number=len(self.blocks) - 1,
            blocks=[],
            events=[],
            set_aside=[],
            confirm=(last.number, last.hash),
            remember=REMEMBER,
        )

    async def drop(self, to: SeenBlock) -> None:
        """Leave the pending blocks above one."""
        await self.watching.drop(to.number)
        del self.blocks[to.number + 1 :]

    async def reverse(self, to: SeenBlock) -> None:
        """Leave confirmed blocks above one."""
        await self.watching.reverse(to.number)
        del self.blocks[to.number + 1 :]

    def _seen(self, block: SeenBlock, place: int, event: Earned) -> SeenEvent:
        return SeenEvent(
            block_number=block.number,
            tx_hash=fake_hash("tx", event.tx),
            ordinal=event.ordinal,
            role=event.role,
            log_index=place,
            rule_id=self.rule_id,
            wallet=event.wallet,
            amount=event.amount,
            credits=event.credits,
            blocks_more=event.blocks_more,
        )
