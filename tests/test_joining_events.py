"""Further events may join a source that is in the books, where nothing of them has been missed."""

import asyncio
from dataclasses import replace

import pytest
from followed_chain import FollowedChain, source

from ledger.errors import RuleConflict

OLD = "adds staking-rewards.Staked"
JOINING = {
    "a version from the next block on": (f"{OLD}\ntakes x from 3", True),
    "before the old one": (f"takes x from 3\n{OLD}", True),
    "in a block that has been read": (f"{OLD}\ntakes x from 2", False),
    "from the beginning": (f"{OLD}\ntakes x", False),
    "in place of the old one": ("takes x from 3", False),
    "and the old one from a later block on": (f"{OLD} from 3", False),
}


@pytest.mark.parametrize("name", JOINING)
def test_what_may_join(database_url: str, name: str) -> None:
    event, may_join = JOINING[name]

    async def main() -> None:
        before = replace(source("stakes"), event=OLD)
        async with FollowedChain.lead(database_url, rule=before) as chain:
            for _ in range(3):  # blocks 0 to 2
                await chain.grow()
            now = replace(before, event=event)
            if not may_join:
                with pytest.raises(RuleConflict, match="is in the books for event"):
                    await chain.watching.enter_rules([now])
                return
            number = (await chain.watching.enter_rules([now]))["stakes"]
            assert number == chain.rule_id
            await chain.watching.enter_rules([now])  # once it is there, it stays
            with pytest.raises(RuleConflict):
                await chain.watching.enter_rules([before])

    asyncio.run(main())
