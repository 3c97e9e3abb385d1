"""Sources of what the protocol gives: blocks and uncles that are mined, and withdrawals."""

import asyncio
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fakechain import Given, MinedBlock
from fakenode import serve
from scene import ALICE, BOB, CAROL, CREDIT, DEPTH, Scene, account_of, scene, stakes

from contracts.rewards import RewardKind
from daemon.command_line import making_good_report as told
from daemon.configuration.config import Config
from daemon.configuration.produced import Produced
from daemon.configuration.rules import Rule
from daemon.configuration.sources import Source
from daemon.configuration.waits import LongerWait
from daemon.evidence_files.gathering import gather
from daemon.evidence_files.grant_evidence import check
from daemon.rereading.making_good import replay, verify
from ledger.late import aside_rows
from ledger.reading import Reading

ETHER = 10**9  # in gwei


def producers(
    reward: RewardKind = "block",
    *,
    addresses: tuple[bytes, ...] = (),
    max_reward: int | None = None,
) -> Source:
    """A source that earns ten credits a block or uncle, or one for each 0.001 ether withdrawn."""
    rule = Rule(CREDIT, ETHER // 1_000) if reward == "withdrawal" else Rule(10 * CREDIT, 1)
    produced = Produced(reward, addresses, max_reward)
    return Source(f"of-{reward}s", (), (), 0, None, rule, kind="mining", produced=produced)


def mine(here: Scene, miner: bytes, *withdrawals: tuple[int, bytes, int]) -> MinedBlock:
    """A block of somebody's, with withdrawals by index, wallet and gwei."""
    listed = tuple((index, 7, wallet, gwei) for index, wallet, gwei in withdrawals)
    return here.chain.mine(given=Given(miner=miner, withdrawals=listed))


def available(here: Scene, *wallets: bytes) -> list[int]:
    return [here.books.account(wallet).available // CREDIT for wallet in wallets]


def test_who_makes_blocks_and_uncles_earns_and_so_does_who_withdraws(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            main_branch = here.chain.branch
            here.chain.fork_from(0)
            uncle = mine(here, CAROL)
            here.chain.switch_to(main_branch)
            mine(here, ALICE, (0, BOB, ETHER // 100))
            here.chain.mine(given=Given(miner=ALICE, uncles=(uncle,)))
            mine(here, bytes(20), (1, bytes(20), ETHER), (2, BOB, 0))
            mine(here, BOB)
            here.chain.mine_empty(DEPTH - 1)
            follower = await here.follow(
                producers(addresses=(ALICE, BOB)),
                producers("uncle"),
                producers("withdrawal", max_reward=ETHER),
            )
            # Bob's own block has not got enough blocks on top yet; zero is nobody's address.
            assert available(here, ALICE, BOB, CAROL) == [20, 10, 10]
            here.chain.mine()
            await follower.turn()
            assert available(here, BOB) == [20]
            kinds = "select ordinal, count(*)::int from creditd.event group by 1 order by 1"
            assert here.books.rows(kinds) == [(-4, 1), (-3, 1), (-2, 3)]
            await here.books_balance()

    asyncio.run(main())


def test_a_block_that_leaves_the_chain_earns_nothing_and_one_that_returns_earns_again_once(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            mine(here, ALICE, (5, ALICE, ETHER // 1_000))
            here.chain.mine_empty(DEPTH)
            follower = await here.follow(
                producers(addresses=(ALICE, BOB)),
                producers("withdrawal", max_reward=ETHER),
                on_deep_reorg="reverse",
            )
            assert available(here, ALICE, BOB) == [11, 0]
            first = here.chain.branch
            # The withdrawal comes in another block, to another address.
            here.chain.fork_from(0)
            mine(here, BOB, (5, BOB, ETHER // 500))
            here.chain.mine_empty(DEPTH + 1)
            await follower.turn()
            assert available(here, ALICE, BOB) == [0, 12]
            here.chain.switch_to(first)
            here.chain.mine_empty(2)
            await follower.turn()
            assert available(here, ALICE, BOB) == [11, 0]
            await here.books_balance()

    asyncio.run(main())


def test_a_withdrawal_that_may_be_of_the_stake_is_set_aside_until_somebody_says_more(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            mine(here, bytes(20), (1, ALICE, ETHER), (2, BOB, ETHER + 1), (3, CAROL, 2**64 - 1))
            here.chain.mine_empty(DEPTH)
            source = producers("withdrawal", max_reward=ETHER)
            await here.follow(source)
            assert available(here, ALICE, BOB, CAROL) == [1_000, 0, 0]
            rows = await aside_rows(database_url, source.name)
            assert ": town block 1, withdrawal 2: " in told.aside_as_text(rows)
            shown = json.loads(told.aside_as_json(rows))["set_aside"][0]
            assert (shown["tx_hash"], shown["log"]) == (None, None)
            assert (shown["reward"], shown["reward_index"]) == ("withdrawal", 2)
            assert [row.reason.partition(" are")[0] for row in rows] == [
                "withdrawal 2 of validator 7: 1000000001 gwei",
                f"withdrawal 3 of validator 7: {2**64 - 1} gwei",
            ]
            assert "more than max_reward (1000000000)" in rows[0].reason
            assert not (await verify(database_url, here.settings(source), 0, None)).differences.any
            wider = producers("withdrawal", max_reward=2 * ETHER)
            done = await replay(database_url, here.settings(wider), wider, 0, None)
            assert (done.admitted, len(done.kept)) == (1, 1)
            assert available(here, BOB) == [1_000]
            await here.books_balance()

    asyncio.run(main())


def test_what_was_missed_of_it_is_found_by_reading_again(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            mine(here, ALICE)
            mine(here, BOB)
            here.chain.mine_empty(DEPTH)
            await here.follow(producers(addresses=(ALICE,)))
            both = here.settings(producers(addresses=(ALICE, BOB)))
            found = await verify(database_url, both, 0, None)
            assert [each.wallet for each in found.differences.missing] == [BOB]
            block_hash = f"0x{here.chain.block(2).hash.hex()}"
            assert f"missing: block {block_hash} in block 2: " in told.verified_as_text(found)
            (shown,) = json.loads(told.verified_as_json(found))["missing"]
            assert (shown["reward"], shown["reward_hash"]) == ("block", block_hash)
            assert (await verify(database_url, both, 0, None, repair=True)).admitted == 1
            assert available(here, ALICE, BOB) == [10, 10]

    asyncio.run(main())


def test_nodes_that_must_agree_must_agree_about_rewards(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            mine(here, ALICE, (1, ALICE, ETHER // 1_000))
            here.chain.mine_empty(DEPTH)
            liar = copy.deepcopy(here.chain)
            liar.block(1).header_json["withdrawals"][0]["amount"] = "0xffffff"
            async with serve(liar) as url:
                here.other_urls.append(url)
                source = producers("withdrawal", max_reward=ETHER)
                settings = replace(here.settings(source, agree=2), verify="off")
                follower = await here.stand_by(settings)
                await follower.turn()
                assert available(here, ALICE) == [0]
                assert "disagree about block 1" in (here.books.standing().reason or "")

    asyncio.run(main())


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "another wallet": lambda d: d["event"].update(wallet="0x" + BOB.hex()),
    "more": lambda d: d["event"].update(amount=str(int(d["event"]["amount"]) * 2)),
    "another one": lambda d: d["event"].update(tx_hash="0x" + "11" * 32),
    "another kind": lambda d: d["reward"].update(kind="gift"),
    "another block": lambda d: d["event"].update(block_hash="0x" + "11" * 32),
    "another maker": lambda d: d["header"].update(miner="0x" + BOB.hex()),
    "a better rule": lambda d: d["rule"].update(credits_micro=99 * CREDIT),
    "no header": lambda d: d.pop("header"),
    "no way": lambda d: d.update(reward={}),
}
CHANGES_OF_WITHDRAWALS: dict[str, Change] = {
    "a path cut short": lambda d: d["reward"]["path"].pop(),
    "another place": lambda d: d["reward"].update(position=1),
    "another root": lambda d: d["header"].update(withdrawalsRoot="0x" + "11" * 32),
}
CHANGES_OF_UNCLES: dict[str, Change] = {
    "no uncles": lambda d: d["reward"].update(uncles=[]),
    "another uncle's maker": lambda d: d["reward"]["uncles"][0].update(miner="0x" + CAROL.hex()),
}


def test_the_evidence_of_a_reward_proves_it_to_whoever_has_the_file(database_url: str) -> None:
    sources = (producers(), producers("uncle"), producers("withdrawal", max_reward=ETHER))
    changes = {
        ALICE: CHANGES,
        BOB: CHANGES | CHANGES_OF_UNCLES,
        CAROL: CHANGES | CHANGES_OF_WITHDRAWALS,
    }
    # The wallet of what is changed may be the right one.
    del changes[BOB]["another wallet"]

    async def main() -> None:
        async with scene(database_url) as here:
            branch = here.chain.branch
            here.chain.fork_from(0)
            uncle = mine(here, BOB)
            here.chain.switch_to(branch)
            listed = tuple((n, n, CAROL, ETHER // 1_000 + n) for n in range(1, 21))
            here.chain.mine(given=Given(miner=ALICE, uncles=(uncle,), withdrawals=listed))
            here.chain.mine_empty(DEPTH)
            await here.follow(*sources)
            config = object.__new__(Config)
            object.__setattr__(config, "chains", (here.settings(*sources),))
            for wallet, of_wallet in changes.items():
                text = await gather(database_url, config, account_of(here, wallet), 1)
                assert check(text).broken is None
                for name, change in of_wallet.items():
                    changed = json.loads(text)
                    change(changed)
                    assert check(json.dumps(changed)).broken is not None, (wallet, name)

    asyncio.run(main())


def test_an_earner_sees_what_the_protocol_gave(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            block = mine(here, ALICE, (5, ALICE, ETHER // 1_000))
            here.chain.mine_empty(DEPTH)
            sources = (producers(addresses=(ALICE,)), producers("withdrawal", max_reward=ETHER))
            await here.follow(*sources)
            account = account_of(here, ALICE)
            async with Reading.open(database_url) as reading:
                withdrawn, mined = (await reading.earnings(account, before=None, limit=10))[:2]
                assert (mined.role, mined.tx_hash, mined.ordinal) == ("earns", None, None)
                assert mined.reward is not None
                assert (mined.reward.kind, mined.reward.hash) == ("block", block.hash)
                assert withdrawn.reward is not None
                assert (withdrawn.reward.kind, withdrawn.reward.index) == ("withdrawal", 5)
                origins = [
                    entry.grant
                    for entry in await reading.entries(account, before_seq=None, limit=10)
                ]
                assert [each.reward for each in origins if each] == [
                    withdrawn.reward,
                    mined.reward,
                ]
            told = here.books.rows(
                "select s->>'reward', s->>'reward_hash', s->>'reward_index', s->>'tx_hash'"
                " from creditd.lot l cross join lateral"
                " creditd.grant_said(l.lot_no, l.source, l.amount, l.cause, l.expires_at) s"
                " order by 1"
            )
            assert told == [
                ("block", "0x" + block.hash.hex(), None, None),
                ("withdrawal", None, "5", None),
            ]

    asyncio.run(main())


def test_they_stand_beside_sources_of_logs(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 3), given=Given(miner=ALICE))
            here.chain.mine_empty(DEPTH)
            await here.follow(stakes(), producers(addresses=(ALICE,)))
            assert available(here, ALICE) == [13]
            await here.books_balance()

    asyncio.run(main())


def test_a_large_withdrawal_may_be_made_to_wait_longer(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            mine(here, bytes(20), (1, ALICE, ETHER), (2, BOB, ETHER // 1_000))
            here.chain.mine_empty(DEPTH)
            source = producers("withdrawal", max_reward=ETHER)
            waits = (LongerWait(100 * CREDIT, 2),)
            follower = await here.stand_by(replace(here.settings(source), waits=waits))
            await follower.turn()
            assert available(here, ALICE, BOB) == [0, 1]
            here.chain.mine_empty(2)
            await follower.turn()
            assert available(here, ALICE, BOB) == [1_000, 1]
            await here.books_balance()

    asyncio.run(main())
