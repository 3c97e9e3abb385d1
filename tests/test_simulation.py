"""Hundreds of histories, each held to one sentence: the grants are those of the canonical chain,
or the chain is halted and says why."""

import os
import sys
from functools import partial

import pytest
from conftest import fresh_database
from simulation.happenings import HAPPENINGS, MEANWHILE
from simulation.history import BLOWS
from simulation.soaking import soak
from simulation.telling import tell, tell_many

# Seeds that once found something, and what.
NOTABLE_SEEDS = {
    1_000_366: "the books began with a block that the node had not called final",
    1_001_012: "blocks ahead were confirmed, though their node had gone to a fork without them",
    1_001_420: "a fork was confirmed up to below a final block that was not on it",
    9_001_442: "blocks were confirmed past the head of a node that had others below it",
    9_001_125: "a reorg above a period granted in part made the books forget that part",
    8_100_028: "a stake of which more was taken than came in could not be granted its period",
    182: "a block that was read ahead, then left, was confirmed once its height was final",
}

BATCH = 20
BATCHES = 10
# What a set of histories must have met to say anything.
MET = range(500, 580)
ON_SOCKETS = range(700, 708)
AT_ONCE = range(800, 830)
SOAKED = range(10_000)

# States that the chain was in, before and after a turn; how it ended; what the daemon logged.
ENDS = {"end: equal", "end: halted"}
# What is drawn seldom.
SELDOM = {"verify found", "verify off", "stakes", "reorg accepted", "meanwhile wait"}
TURNS = {
    "following to halted",
    "syncing to halted",
    "halted to following",
    "halted to syncing",
    "log: reorg",
    "log: deep reorg",
    "log: node fails",
    "log: node is back",
    "log: log set aside",
    "log: leading",
    "log: no longer leading",
}

SEED = os.environ.get("CREDITD_SIMULATION_SEED")
SOAK_FROM = int(os.environ.get("CREDITD_SIMULATION_FROM", "1000000"))
SOCKETS = os.environ.get("CREDITD_SIMULATION_SOCKETS") == "1"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_grants_are_those_of_the_canonical_chain_or_the_chain_is_halted(
    database_url: str, batch: int
) -> None:
    tell_many(range(batch * BATCH, (batch + 1) * BATCH), database_url)


def test_what_was_found_once_is_not_found_again(database_url: str) -> None:
    tell_many(NOTABLE_SEEDS, database_url)


def test_histories_meet_everything_that_can_happen(database_url: str) -> None:
    met = tell_many(MET, database_url)
    meanwhile = {f"meanwhile {name}" for name in MEANWHILE}
    assert {*HAPPENINGS, *BLOWS, *meanwhile, *ENDS, *TURNS, *SELDOM} - met.keys() == set()


def test_histories_end_no_otherwise_over_real_sockets(database_url: str) -> None:
    tell_many(ON_SOCKETS, database_url, sockets=True)


def test_histories_end_no_otherwise_where_two_things_are_done_at_once(database_url: str) -> None:
    tell_many(AT_ONCE, database_url, at_once=True)


@pytest.mark.skipif(SEED is None, reason="CREDITD_SIMULATION_SEED names no seed")
def test_one_history_again(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    history = tell(int(SEED or 0), database_url, sockets=SOCKETS)
    with capsys.disabled():
        sys.stdout.write("\n".join(["", str(history.drawn), *history.trace, ""]))


@pytest.mark.soak
def test_ten_thousand_histories(
    server_url: str, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(what: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"{what}\n")
            sys.stdout.flush()

    database = partial(fresh_database, server_url, template)
    counted, failed = soak([SOAK_FROM + number for number in SOAKED], database, say)
    for what, count in sorted(counted.items()):
        say(f"{count:8} {what}")
    assert failed == []
