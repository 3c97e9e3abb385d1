"""Waits as they are configured, and as a watcher goes by them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from config_documents import CHAIN, document, load, mistakes_of, toml
from missed import omit
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene, stakes

from daemon.command_line.making_good_report import verified_as_text
from daemon.configuration.config import Chain, Config
from daemon.configuration.rules import GRANT_MAX_MICRO
from daemon.configuration.waits import WAIT_BLOCKS_MAX, WAITS_MAX, LongerWait, blocks_more
from daemon.evidence_files.gathering import gather
from daemon.evidence_files.grant_evidence import check
from daemon.rereading.making_good import backfill, replay, rewind, verify
from daemon.watching.follower import Follower
from ledger.ids import AccountRef

WAITS = (LongerWait(10 * CREDIT, 4), LongerWait(100 * CREDIT, 8))


def entry(above: object, blocks: object) -> dict[str, object]:
    return {"above": above, "blocks": blocks}


def test_waits_are_read_as_they_are_written(tmp_path: Path) -> None:
    written = [entry("0", 1), entry("0.5", 2), entry("1000", 64)]
    config = load(tmp_path, toml(document({(*CHAIN, "waits"): written})))
    assert config.chains[0].waits == (
        LongerWait(0, 1),
        LongerWait(500_000, 2),
        LongerWait(1_000_000_000, 64),
    )
    assert config.chains[1].waits == ()


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        (entry("1", 2), "waits", "must be a list such as"),
        ([], "waits", "is missing: write a list such as"),
        ([7], "waits[0]", "must be a list such as"),
        ([entry(1000, 64)], "waits[0].above", 'must be a decimal string such as "0.5" (got 1000'),
        ([entry("-1", 64)], "waits[0].above", "digits, at most six of them after the point"),
        ([entry("1000000000001", 64)], "waits[0].above", "at most 1000000000000"),
        ([{"blocks": 64}], "waits[0].above", "is missing"),
        ([{"above": "1"}], "waits[0].blocks", "is missing"),
        ([entry("1", 0)], "waits[0].blocks", f"a whole number from 1 to {WAIT_BLOCKS_MAX}"),
        ([entry("1", WAIT_BLOCKS_MAX + 1)], "waits[0].blocks", "must be a whole number from 1"),
        ([entry("1", 2) | {"block": 3}], "waits[0].block", "is not a setting here"),
        ([entry("2", 2), entry("2", 3)], "waits[1].above", "is not more than the one before it"),
        ([entry("2", 2), entry("1", 3)], "waits[1].above", "is not more than the one before it"),
        ([entry("1", 2), entry("2", 2)], "waits[1].blocks", "is not more than before"),
        ([entry("1", 2), entry("2", 1)], "waits[1].blocks", "is not more than before"),
        (
            [entry(f"{n}", n + 1) for n in range(WAITS_MAX + 1)],
            "waits",
            f"has more than {WAITS_MAX} entries",
        ),
    ],
)
def test_a_mistake_in_waits_is_told_with_its_place(
    tmp_path: Path, written: object, place: str, message: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, document({(*CHAIN, "waits"): written}))
    assert mistake.place == f"chains[0].{place}"
    assert message in mistake.message


def test_as_many_waits_as_there_may_be_are_read(tmp_path: Path) -> None:
    written = [entry(str(10**n), n + 1) for n in range(12)] + [
        entry(f"{10**11 + n}", 13 + n) for n in range(1, WAITS_MAX - 11)
    ]
    written[-1] = entry("1000000000000", WAIT_BLOCKS_MAX)
    waits = load(tmp_path, toml(document({(*CHAIN, "waits"): written}))).chains[0].waits
    assert len(waits) == WAITS_MAX
    assert waits[-1] == LongerWait(GRANT_MAX_MICRO, WAIT_BLOCKS_MAX)


@pytest.mark.parametrize(
    ("credits_micro", "blocks"),
    [
        (0, 0),
        (10 * CREDIT, 0),
        (10 * CREDIT + 1, 4),
        (100 * CREDIT, 4),
        (100 * CREDIT + 1, 8),
        (GRANT_MAX_MICRO, 8),
    ],
)
def test_what_earns_more_than_a_step_says_waits_for_its_blocks(
    credits_micro: int, blocks: int
) -> None:
    assert blocks_more(WAITS, credits_micro) == blocks
    assert blocks_more((), credits_micro) == 0


def patient(here: Scene, waits: Sequence[LongerWait] = WAITS) -> Chain:
    return replace(here.settings(), waits=tuple(waits))


async def following(here: Scene, settings: Chain) -> Follower:
    follower = await here.stand_by(settings)
    await follower.turn()
    return follower


def has(here: Scene, wallet: bytes) -> int:
    return here.books.account(wallet).available // CREDIT


def test_a_watcher_grants_larger_amounts_later(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 10), here.stake(BOB, 11), here.stake(BOB, 101))
            here.chain.mine_empty(DEPTH)
            follower = await following(here, patient(here))
            assert (has(here, ALICE), has(here, BOB)) == (10, 0)
            for tokens in (0, 0, 0, 11, 11, 11, 11, 112):
                here.chain.mine()
                await follower.turn()
                assert has(here, BOB) == tokens

    asyncio.run(main())


def test_what_waits_keeps_its_block_over_a_restart_with_other_settings(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11), here.stake(BOB, 101))
            here.chain.mine_empty(DEPTH)
            first = await following(here, patient(here))
            await here.end(first)
            follower = await following(here, patient(here, [LongerWait(CREDIT, 1)]))
            here.chain.mine(here.stake(ALICE, 2))  # block 5
            here.chain.mine_empty(2)
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (0, 0)
            here.chain.mine()
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (11, 0)
            here.chain.mine()
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (13, 0)
            here.chain.mine_empty(3)
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (13, 101)

    asyncio.run(main())


@pytest.mark.parametrize("waits", [WAITS, ()])
def test_what_is_read_again_while_it_waits_is_as_the_books_say(
    database_url: str, waits: Sequence[LongerWait]
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11))
            here.chain.mine_empty(DEPTH)
            await following(here, patient(here))
            found = await verify(database_url, patient(here, waits), 0, None, repair=True)
            assert not found.differences.any
            assert (found.admitted, has(here, ALICE)) == (0, 0)
            here.books.rows("update creditd.event set amount = 1 returning 1")
            (changed,) = (await verify(database_url, patient(here), 0, None)).differences.changed
            assert (changed.recorded.granted, changed.recorded.account_id) == (0, None)
            here.books.rows(
                "update creditd.event set tx_hash = %s, log_index = 7 returning 1", bytes(32)
            )
            gone = verified_as_text(await verify(database_url, patient(here), 0, None))
            assert "in the books in block 1: nothing was granted yet, as it waits" in gone

    asyncio.run(main())


def test_what_was_missed_waits_as_it_would_have(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    omitting = omit(monkeypatch)

    async def main() -> None:
        async with scene(database_url) as here:
            omitting.add(BOB)
            here.chain.mine(here.stake(BOB, 11), here.stake(BOB, 101))
            here.chain.mine_empty(DEPTH + 3)
            follower = await following(here, patient(here))
            found = await verify(database_url, patient(here), 0, None, repair=True)
            assert (found.admitted, has(here, BOB)) == (2, 0)
            here.chain.mine()
            await follower.turn()
            assert has(here, BOB) == 11
            here.chain.mine_empty(4)
            await follower.turn()
            assert has(here, BOB) == 112

    asyncio.run(main())


def test_what_was_set_aside_waits_once_it_matches(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11), here.stake(BOB, 101))
            here.chain.mine_empty(DEPTH + 4)
            monkeypatch.setattr("daemon.configuration.rules.GRANT_MAX_MICRO", CREDIT)
            follower = await following(here, patient(here))
            assert len(here.books.set_aside()) == 2
            monkeypatch.undo()
            for admitted in (2, 0):
                again = await replay(database_url, patient(here), stakes(), 0, None)
                assert (again.admitted, again.kept) == (admitted, [])
                assert (has(here, ALICE), has(here, BOB)) == (11, 0)
            here.chain.mine_empty(4)
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (11, 101)

    asyncio.run(main())


def test_what_waited_has_evidence_as_any_grant(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11))
            here.chain.mine_empty(DEPTH + 4)
            await following(here, patient(here))
            ((root_id, account_id),) = here.books.rows(
                "select root_id, account_id from creditd.wallet"
            )
            config = object.__new__(Config)
            object.__setattr__(config, "chains", (patient(here),))
            text = await gather(database_url, config, AccountRef(root_id, account_id), 1)
            assert check(text).broken is None

    asyncio.run(main())


def test_a_source_that_is_read_behind_the_cursor_waits_too(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11))
            here.chain.mine_empty(4)
            here.chain.mine(here.stake(BOB, 11))  # block 6
            here.chain.mine_empty(DEPTH)
            sources = (stakes("other", contract=b"\xcd" * 20), stakes())
            without = replace(patient(here), sources=sources[:1])
            await here.end(await following(here, without))
            settings = replace(patient(here), sources=sources)
            done = await backfill(database_url, settings, sources[1])
            assert (done.admitted, has(here, ALICE), has(here, BOB)) == (2, 11, 0)
            follower = await following(here, settings)
            assert has(here, BOB) == 0
            here.chain.mine_empty(4)
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (11, 11)

    asyncio.run(main())


def test_a_reorg_within_the_wait_grants_nothing_of_what_the_chain_left(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(BOB, 1))
            here.chain.mine(here.stake(ALICE, 11))  # block 2
            here.chain.mine_empty(DEPTH + 2)
            settings = replace(patient(here), on_deep_reorg="reverse")
            follower = await following(here, settings)
            here.chain.fork_from(1)
            here.chain.mine(here.stake(BOB, 12))
            here.chain.mine_empty(DEPTH + 3)
            await follower.turn()
            assert here.books.standing().last_reorg_depth is not None
            assert (has(here, ALICE), has(here, BOB)) == (0, 1)
            assert here.books.entry_kinds(ALICE) == []
            here.chain.mine()
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (0, 13)

    asyncio.run(main())


def test_a_chain_that_left_a_final_block_halts_with_what_waits_and_goes_on(
    database_url: str,
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11))
            here.chain.mine_empty(DEPTH + 2)
            follower = await following(here, patient(here))
            true = here.chain.branch
            here.chain.fork_from(0)
            here.chain.mine_empty(DEPTH + 20)
            await follower.turn()
            assert here.books.standing().state == "halted"
            assert has(here, ALICE) == 0
            here.chain.switch_to(true)
            here.chain.mine_empty(2)
            await follower.turn()
            assert (here.books.standing().state, has(here, ALICE)) == ("following", 11)

    asyncio.run(main())


def test_rewinding_lets_what_is_pending_wait_by_the_settings_then(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 11))
            here.chain.mine(here.stake(BOB, 11))  # block 2
            here.chain.mine_empty(DEPTH - 1)
            await here.end(await following(here, patient(here)))
            settings = patient(here, [LongerWait(CREDIT, 1)])
            assert await rewind(database_url, settings, 1) == 1
            follower = await following(here, settings)
            here.chain.mine_empty(2)  # block 3 is final
            await follower.turn()
            assert (has(here, ALICE), has(here, BOB)) == (0, 11)

    asyncio.run(main())
