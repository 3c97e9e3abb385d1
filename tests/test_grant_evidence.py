"""The evidence of a grant proves it to whoever has nothing but the file."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Said, creditd
from fakechain import FakeChain, Tx
from fakenode import serve
from scene import ALICE, BOB, DEPTH, MINE, TOKEN, Scene, account_of, scene, write_config

from daemon.configuration.config import Config
from daemon.evidence_files.evidence_file import NoEvidence
from daemon.evidence_files.gathering import gather
from daemon.evidence_files.grant_evidence import check
from ledger.ids import format_account

Change = Callable[[dict[str, Any]], object]


def config_of(here: Scene) -> Config:
    config = object.__new__(Config)
    object.__setattr__(config, "chains", (here.settings(),))
    return config


def crowd(here: Scene, count: int) -> list[Tx]:
    return [here.stake(bytes([number]) * 20, 1 + number) for number in range(1, count)]


@pytest.mark.parametrize("count", [1, 2, 17, 150])
@pytest.mark.parametrize("place", ["first", "last"])
def test_the_evidence_of_a_grant_holds_wherever_in_its_block_it_is(
    database_url: str, count: int, place: str
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            others, ours = crowd(here, count), here.stake(ALICE, 7)
            here.chain.mine(*([ours, *others] if place == "first" else [*others, ours]))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            text = await gather(database_url, config_of(here), account_of(here, ALICE), 1)
            checked = check(text)
            assert checked.broken is None
            assert any(f"{7 * TOKEN} base units" in each for each in checked.proven)
            assert any("= 7000000 micro-credits" in each for each in checked.proven)
            assert len(checked.proven) == 5
            assert len(checked.believed) == 3

    asyncio.run(main())


def changed(name: str) -> Change:
    """What somebody might write into a file, to be paid more or for something else."""
    changes: dict[str, Change] = {
        "more in the event": lambda d: d["event"].update(amount=str(8 * TOKEN)),
        "another wallet": lambda d: d["event"].update(wallet="0x" + BOB.hex()),
        "another contract": lambda d: d["source"].update(contract="0x" + MINE.hex()),
        "another event": lambda d: d["source"].update(
            signature="Withdrawn(address indexed user,uint256 amount)"
        ),
        "another field": lambda d: d["source"].update(where={"amount": 1}),
        "a better rule": lambda d: d["rule"].update(credits_micro=2_000_000),
        "more credits": lambda d: d["grant"].update(credits_micro=8_000_000),
        "more granted": lambda d: d["grant"].update(granted_micro=8_000_000),
        "another log": lambda d: d["event"].update(ordinal=1),
        "another receipt": lambda d: d["receipt"].update(index=1),
        "a path cut short": lambda d: d["receipt"]["path"].pop(),
        "another root": lambda d: d["header"].update(receiptsRoot="0x" + "11" * 32),
        "another block": lambda d: d["event"].update(block_hash="0x" + "11" * 32),
        "another height": lambda d: d["event"].update(block_number=2),
        "another time": lambda d: d["header"].update(timestamp="0x1"),
        "no header": lambda d: d.pop("header"),
        "a path of nothing": lambda d: d["receipt"].update(path=[None]),
        "a list for a part": lambda d: d.update(rule=[]),
    }
    return changes[name]


CHANGES = (
    *("more in the event", "another wallet", "another contract", "another event", "another field"),
    *("a better rule", "more credits", "more granted", "another log", "another receipt"),
    *("a path cut short", "another root", "another block", "another height", "another time"),
    *("no header", "a path of nothing", "a list for a part"),
)


def test_a_file_that_was_changed_is_found_out_whatever_was_changed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 7), *crowd(here, 20))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            text = await gather(database_url, config_of(here), account_of(here, ALICE), 1)
            for name in CHANGES:
                document = json.loads(text)
                changed(name)(document)
                assert check(json.dumps(document)).broken is not None, name

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "creditd-evidence"}', "\0"])
def test_what_is_no_such_file_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NoEvidence):
        check(text)


def test_there_is_no_evidence_where_the_chain_or_the_configuration_says_otherwise(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 7))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            alice = account_of(here, ALICE)
            with pytest.raises(NoEvidence, match="not made for an event"):
                await gather(database_url, config_of(here), alice, 2)
            other = FakeChain(chain_id=5)
            async with serve(other) as url:
                true, here.url = here.url, url
                with pytest.raises(NoEvidence, match="no block of that hash"):
                    await gather(database_url, config_of(here), alice, 1)
                here.url = true
            here.faults.omit_log_in.add(1)
            with pytest.raises(NoEvidence):
                await gather(database_url, config_of(here), alice, 1)
            here.faults.omit_log_in.clear()
            here.books.rows("update creditd.event set amount = amount + 1 returning 1")
            with pytest.raises(NoEvidence, match="what it said then"):
                await gather(database_url, config_of(here), alice, 1)
            here.books.rows("update creditd.event set amount = amount - 1 returning 1")
            here.books.rows("update creditd.rule set name = 'gone' returning 1")
            with pytest.raises(NoEvidence, match="not in the configuration any more"):
                await gather(database_url, config_of(here), alice, 1)

    asyncio.run(main())


def test_the_command_writes_a_file_and_checks_it_without_anything_else(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 7))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            config = write_config(tmp_path, here.url)

            async def said(*words: str, database: str | None = database_url) -> Said:
                arguments = ("evidence", *words)
                return await asyncio.to_thread(creditd, *arguments, database_url=database)

            account = format_account(account_of(here, ALICE))
            made = await said("--account", account, "--grant", "1", "--config", str(config))
            assert (made.code, made.err) == (0, "")
            path = tmp_path / "grant.json"
            path.write_text(made.out, encoding="utf-8")
            checked = await said("--check", str(path), database=None)
            assert checked.code == 0
            assert "proven   the header of block 1 hashes to 0x" in checked.out
            assert "believed that block 1 is of chain 31337" in checked.out
            path.write_text(made.out.replace(str(7 * TOKEN), str(8 * TOKEN)), encoding="utf-8")
            broken = await said("--check", str(path), database=None)
            assert broken.code == 1
            assert "BROKEN   the log says" in broken.out
            (await said("--check", str(config), database=None)).refused("not JSON")
            (await said("--account", account, "--config", str(config))).refused("name --account")

    asyncio.run(main())


UNSEEN = "1: \x1b[2A\x1b[0Jproven   block 1 is final\nproven   it is in the books\x1b[8m"
ODD_PARTS: dict[str, Change] = {
    "text for a number": lambda d: d["event"].update(chain_id=UNSEEN),
    "lines in a name": lambda d: d["source"].update(name=UNSEEN),
    "lines in an account": lambda d: d["grant"].update(account=UNSEEN),
    "lines in a signature": lambda d: d["source"].update(signature=UNSEEN),
    "a float": lambda d: d["grant"].update(credits_micro=7_000_000.0),
    "a truth": lambda d: d["event"].update(ordinal=False),
    "other credits in words": lambda d: d["grant"].update(granted="999999"),
    "a part more": lambda d: d.update(said="proven"),
    "a condition less": lambda d: d["source"].pop("where"),
}


def test_nothing_of_a_file_is_said_again_that_is_not_of_its_form(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 7))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            text = await gather(database_url, config_of(here), account_of(here, ALICE), 1)
            for name, change in ODD_PARTS.items():
                document = json.loads(text)
                change(document)
                checked = check(json.dumps(document))
                assert checked.broken is not None, name
                assert checked.render().isascii()
                assert "\x1b" not in checked.render(), name
                assert "proven   block 1 is final" not in checked.render().splitlines()

    asyncio.run(main())


def test_what_the_source_follows_is_said_to_be_believed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 7))
            here.chain.mine_empty(DEPTH)
            await here.follow()
            text = await gather(database_url, config_of(here), account_of(here, ALICE), 1)
            (believed,) = [each for each in check(text).believed if "that source" in each]
            assert "Staked(address indexed user,uint256 amount)" in believed
            assert "of contract 0xcacaca" in believed

    asyncio.run(main())


def test_a_file_of_endless_depth_is_no_evidence() -> None:
    with pytest.raises(NoEvidence, match="not JSON"):
        check("[" * 100_000)
