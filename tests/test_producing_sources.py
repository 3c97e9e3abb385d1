"""Sources of what the protocol gives, as the configuration says them."""

from pathlib import Path
from typing import Any

import pytest
from config_documents import document, load, mistakes_of, toml
from scene import ALICE, BOB, CREDIT

from daemon.configuration.produced import Produced
from daemon.configuration.sources import Source

ETHER = 10**9  # in gwei


def configured(tmp_path: Path, said: dict[str, Any], **rule: object) -> Source:
    content = document()
    content["chains"][0]["sources"] = [_table(said, rule)]
    return load(tmp_path, toml(content)).chains[0].sources[0]


def _table(said: dict[str, Any], rule: dict[str, object]) -> dict[str, Any]:
    table = {"name": "made", "preset": "block-producer", "from_block": 1, "reward": "block"}
    return table | {"rule": {"credits": "10", "per": "1"} | rule} | said


def test_the_configuration_says_what_of_it_earns(tmp_path: Path) -> None:
    source = configured(tmp_path, {})
    assert (source.kind, source.followed, source.contract) == ("mining", "block", bytes(20))
    assert (source.rule.per_base_units, source.rule.credits_micro) == (1, 10 * CREDIT)
    two = ["0x" + ALICE.hex(), "0x" + BOB.hex()]
    withdrawals = configured(
        tmp_path,
        {"reward": "withdrawal", "addresses": two, "max_reward": "0.5"},
        per="0.001",
    )
    assert withdrawals.kind == "staking"
    assert withdrawals.produced == Produced("withdrawal", (ALICE, BOB), ETHER // 2)
    assert withdrawals.rule.per_base_units == ETHER // 1_000
    assert withdrawals.followed == f"withdrawal to {two[0]}\nwithdrawal to {two[1]}"
    assert configured(tmp_path, {"reward": "uncle", "addresses": two[0]}).produced == Produced(
        "uncle", (ALICE,)
    )


@pytest.mark.parametrize(
    ("said", "place", "message"),
    [
        ({"reward": "tips"}, "reward", 'must be "block", "uncle" or "withdrawal"'),
        ({"reward": "withdrawal"}, "max_reward", "is missing"),
        ({"reward": "withdrawal", "max_reward": "0.0000000001"}, "max_reward", "10 decimals"),
        ({"max_reward": "1"}, "max_reward", "is not a setting here"),
        ({"contract": "0x" + "11" * 20}, "contract", "is not a setting here"),
        ({"where": {"miner": 1}}, "where", "is not a setting here"),
        ({"addresses": []}, "addresses", "must be 1 to 1000 addresses"),
        ({"addresses": ["0x12"]}, "addresses[0]", "must be an account's address"),
        ({"addresses": "0x" + "00" * 20}, "addresses", "zero address"),
        ({"preset": "block-producers"}, "preset", 'did you mean "block-producer"'),
    ],
)
def test_what_it_cannot_mean_is_a_mistake(
    tmp_path: Path, said: dict[str, Any], place: str, message: str
) -> None:
    content = document()
    content["chains"][0]["sources"] = [_table(said, {})]
    found = [
        str(mistake) for mistake in mistakes_of(tmp_path, content) if mistake.place.endswith(place)
    ]
    assert any(message in mistake for mistake in found), found


def test_decimals_are_not_asked_for_and_one_reward_earns_once(tmp_path: Path) -> None:
    content = document()
    content["chains"][0]["sources"] = [_table({}, {"decimals": 18})]
    assert "is not a setting here" in str(mistakes_of(tmp_path, content)[0])
    alices, bobs = ({"addresses": "0x" + wallet.hex()} for wallet in (ALICE, BOB))
    for one, other, clash in (
        ({}, {}, True),
        ({}, bobs, True),
        (alices, alices, True),
        (alices, bobs, False),
        ({}, {"reward": "uncle"}, False),
    ):
        content["chains"][0]["sources"] = [
            _table(one | {"name": "one"}, {}),
            _table(other | {"name": "other"}, {}),
        ]
        if clash:
            (mistake,) = mistakes_of(tmp_path, content)
            assert "follows the same reward: each reward would earn twice" in str(mistake)
        else:
            assert len(load(tmp_path, toml(content)).chains[0].sources) == 2


def test_withdrawals_that_anybody_can_make_of_a_stake_are_warned_of(tmp_path: Path) -> None:
    content = document()
    everybodys: dict[str, Any] = {"reward": "withdrawal", "max_reward": "1"}
    cases: tuple[tuple[dict[str, Any], dict[str, object], bool], ...] = (
        (everybodys, {}, True),
        (everybodys, {"max_per_account_day": "500"}, False),
        (everybodys | {"addresses": "0x" + ALICE.hex()}, {}, False),
        ({}, {}, False),
    )
    for said, rule, is_warned in cases:
        content["chains"][0]["sources"] = [_table(said, rule)]
        cautions = load(tmp_path, toml(content)).chains[0].cautions
        assert any("in small parts" in each for each in cautions) == is_warned
