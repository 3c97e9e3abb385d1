"""Events that the watcher missed, and what is told of them late."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from fakechain import MinedBlock
from scene import (
    ALICE,
    BOB,
    CREDIT,
    DEPTH,
    Scene,
)

from contracts.catalogue import EVENTS
from daemon.chain.reading import Block
from daemon.configuration.waits import LongerWait
from daemon.watching.earning import Earnings, Followed, earnings_of
from daemon.watching.follower import Follower
from ledger.late import Late, Place
from ledger.watching import SeenBlock, SeenEvent

STAKED = EVENTS["staking-rewards.Staked"].topic0


def block_of(mined: MinedBlock, *, time: int | None = None) -> dict[int, SeenBlock]:
    seen = SeenBlock(mined.number, mined.hash, mined.parent, mined.time if time is None else time)
    return {mined.number: seen}


def event_of(mined: MinedBlock, tx: int = 0, *, rule_id: int = 1, wallet: bytes = BOB) -> SeenEvent:
    return SeenEvent(
        block_number=mined.number,
        tx_hash=mined.txs[tx].hash,
        ordinal=0,
        role=0,
        log_index=tx,
        rule_id=rule_id,
        wallet=wallet,
        amount=3 * 10**18,
        credits=3 * CREDIT,
    )


async def place_of(late: Late) -> Place:
    place = await late.place()
    assert place is not None
    return place


async def read(here: Scene) -> Follower:
    """Block 1 has a stake of Alice's and one of Bob's, and is confirmed."""
    here.chain.mine(here.stake(ALICE, 10), here.stake(BOB, 3))
    here.chain.mine_empty(DEPTH)
    return await here.follow()


def omit(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Returns wallets, none at first, whose events the watcher does not see by a defect."""
    omitted: set[bytes] = set()

    def seen(
        blocks: Sequence[Block], followed: Sequence[Followed], waits: Sequence[LongerWait]
    ) -> Earnings:
        found = earnings_of(blocks, followed, waits)
        return replace(
            found, events=tuple(each for each in found.events if each.wallet not in omitted)
        )

    monkeypatch.setattr("daemon.watching.watcher.earnings_of", seen)
    return omitted
