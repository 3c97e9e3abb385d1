"""The evidence of what a stake earned in a period proves it to whoever has nothing but the file."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from accruals_on_chain import CREDIT, SHAPES, by, evidence, granted
from command_line import Said, creditd
from fakechain import FakeChain, staked
from fakenode import serve
from missed import block_of, event_of, omit, place_of
from scene import ALICE, DEPTH, MINE, TOKEN, VAULT, Scene, account_of, scene
from watched_stakes import DAY, MIDNIGHT, at, held

from daemon.evidence_files.evidence_file import NoEvidence
from daemon.evidence_files.grant_evidence import check
from daemon.watching.follower import Follower
from ledger.ids import format_account
from ledger.late import Late
from ledger.watching import ADDS


@pytest.mark.parametrize("name", SHAPES)
def test_the_evidence_of_a_period_holds_whatever_the_stake_is(database_url: str, name: str) -> None:
    shape = SHAPES[name]

    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, shape)
            for number, micro in enumerate(shape.grants, 1):
                checked = check(await evidence(here, shape.source, number))
                assert checked.broken is None
                assert checked.proven[-1].endswith(f" = {micro} micro-credits")
                assert len(checked.proven) == 4 + shape.changes
                assert len(checked.believed) == 4
            assert "all that there were of the stake" in checked.believed[0]

    asyncio.run(main())


def test_what_is_shared_stands_once_in_a_file(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            shape = SHAPES["many events"]
            await granted(here, shape)
            document = json.loads(await evidence(here, shape.source, 2))
            assert [len(each["receipts"]) for each in document["blocks"]] == [2, 1]
            assert [each["receipt"] for each in document["changes"]] == [0, 40, 40, 0]

    asyncio.run(main())


def test_what_came_late_is_believed_where_it_is_made_up_for_and_refused_where_it_is_not(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    omitting = omit(monkeypatch)

    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            omitting.add(ALICE)
            at(here.chain, MIDNIGHT, staked(VAULT, ALICE, 2 * TOKEN))
            follower = await here.follow(held())
            omitting.clear()
            at(here.chain, MIDNIGHT + DAY // 2, staked(VAULT, ALICE, TOKEN))
            await grown(here, follower, MIDNIGHT + DAY)
            assert check(await evidence(here, held(), 1)).broken is None
            missed = here.chain.block(1)
            event = replace(event_of(missed, wallet=ALICE), role=ADDS, amount=2 * TOKEN, credits=0)
            epoch = (await place_of(late)).epoch
            assert await late.admit(epoch, block_of(missed), [event]) == 1
            with pytest.raises(NoEvidence, match=f"late.*it earned {5 * CREDIT // 2} micro-cred"):
                await evidence(here, held(), 1)
            await grown(here, follower, MIDNIGHT + 2 * DAY)
            text = await evidence(here, held(), 2)
            checked = check(text)
            assert (
                checked.proven[-1]
                == f"{11 * CREDIT // 2} - {CREDIT // 2} = {5 * CREDIT} micro-credits"
            )
            assert f"that {CREDIT // 2} micro-credits stood granted" in checked.believed[0]
            assert len(checked.believed) == 5
            for more in (CREDIT, -CREDIT):
                document = json.loads(text)
                document["period"]["granted_before_micro"] += more
                assert check(json.dumps(document)).broken is not None
            await grown(here, follower, MIDNIGHT + 3 * DAY)
            assert len(check(await evidence(here, held(), 3)).believed) == 4

    asyncio.run(main())


async def grown(here: Scene, follower: Follower, time: int) -> None:
    """Let a block of a time be final and read."""
    at(here.chain, time)
    for _ in range(DEPTH):
        here.chain.mine()
    await follower.turn()
    await follower.turn()


def test_what_caps_took_of_a_period_is_believed(database_url: str) -> None:
    source = by(replace(held().rule, max_per_account_micro=CREDIT // 3))

    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, replace(SHAPES["takes"], source=source))
            checked = check(await evidence(here, source, 1))
            assert checked.broken is None
            assert f"caps of the source left {CREDIT // 3} of them" in checked.believed[0]

    asyncio.run(main())


def test_there_is_no_evidence_of_what_was_taken_back(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            here.books.rows(
                "update creditd.event set state = 'reversed' where ordinal = -1 returning 1"
            )
            with pytest.raises(NoEvidence, match="was taken back"):
                await evidence(here, held(), 1)
            here.books.rows(
                "update creditd.event set state = 'confirmed' where ordinal = -1 returning 1"
            )

    asyncio.run(main())


def test_a_stake_that_changed_more_often_than_a_file_holds_has_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.evidence_files.accrual_evidence.CHANGES_MAX", 2)
    monkeypatch.setattr("daemon.evidence_files.gathering.CHANGES_MAX", 2)

    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            with pytest.raises(NoEvidence, match=r"more than 2 times.*creditd verify --chain town"):
                await evidence(here, held(), 1)

    asyncio.run(main())


def test_there_is_none_where_the_node_or_the_books_say_otherwise(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["many events"])
            other = FakeChain(chain_id=5)
            async with serve(other) as url:
                true, here.url = here.url, url
                with pytest.raises(NoEvidence, match="no block of that hash"):
                    await evidence(here, held(), 1)
                here.url = true
            here.faults.omit_log_in.add(1)
            with pytest.raises(NoEvidence):
                await evidence(here, held(), 1)
            here.faults.omit_log_in.clear()
            with pytest.raises(NoEvidence, match="not in the configuration any more"):
                await evidence(here, replace(held(), name="gone"), 1)
            with pytest.raises(NoEvidence, match="is of no contract of source held"):
                await evidence(here, by(held().rule, MINE), 1)

    asyncio.run(main())


CONFIG = """
[[chains]]
name = "town"
chain_id = 31337
rpc_url = "{url}"
confirmation = {{ depth = {depth} }}

[[chains.sources]]
name = "held"
contract = "0x{vault}"
preset = "staking-rewards"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18, every = "day" }}
"""


def test_the_command_writes_a_file_of_a_period_and_checks_it(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            config = tmp_path / "creditd.toml"
            text = CONFIG.format(url=here.url, depth=DEPTH, vault=VAULT.hex())
            config.write_text(text, encoding="utf-8")

            async def said(*words: str, database: str | None = database_url) -> Said:
                return await asyncio.to_thread(creditd, "evidence", *words, database_url=database)

            account = format_account(account_of(here, ALICE))
            made = await said("--account", account, "--grant", "1", "--config", str(config))
            assert (made.code, made.err) == (0, "")
            path = tmp_path / "grant.json"
            path.write_text(made.out, encoding="utf-8")
            checked = await said("--check", str(path), database=None)
            assert checked.code == 0
            assert "proven   it is the first block at or after 2023-11-16 00:00:00" in checked.out
            assert "believed that these 3 changes are all that there were" in checked.out
            path.write_text(made.out.replace('"adds"', '"takes"'), encoding="utf-8")
            broken = await said("--check", str(path), database=None)
            assert broken.code == 1
            assert "BROKEN   " in broken.out

    asyncio.run(main())
