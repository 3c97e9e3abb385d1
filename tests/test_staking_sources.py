"""Sources of stakes: presets, events that add and take, rates and holding times."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from config_documents import document, load, mistakes_of, toml
from fakechain import Event, FakeChain, staked, withdrawn

from contracts.presets import PRESETS
from daemon.configuration.config import Config
from daemon.configuration.rules import Holding, Rule, credits_for
from daemon.configuration.sources import Source
from daemon.watching.earning import Earnings, Followed, earnings_of
from ledger.watching import ADDS, EARNS, TAKES

VAULT = bytes.fromhex("e7f1725e7734ce288f8367e1bb143e90bb3f0512")
POOL = b"\xcb" * 20
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
SHOP, KEEPER = b"\x5a" * 20, b"\xfe" * 20
TOKEN = 10**18
CREDIT = 1_000_000
DAY = 86_400
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 7, 1, 12, tzinfo=UTC)


def loaded(tmp_path: Path, said: dict[str, Any], **rule: object) -> Source:
    """The first source of a configuration where it says this instead of its event."""
    content = document()
    source = content["chains"][0]["sources"][0]
    del source["event"]
    source |= said
    source["rule"] = {"credits": "1", "per": "1", "decimals": 18} | rule
    config: Config = load(tmp_path, toml(content))
    return config.chains[0].sources[0]


def found(source: Source, *events: Event) -> Earnings:
    block = FakeChain().mine(*events).seen_by([VAULT, POOL])
    covering = replace(source, from_block=0, to_block=None)
    return earnings_of([block], [Followed(covering, 7)], ())


def told(earnings: Earnings) -> list[tuple[bytes, int, int]]:
    return [(event.wallet, event.role, event.amount) for event in earnings.events]


def log_of(source: Source, index: int, *words: bytes | int, contract: bytes = VAULT) -> Event:
    """The log of one of a source's events, from the words of its parameters in their order."""
    event = source.events[index].event
    values = [
        word.rjust(32, b"\0") if isinstance(word, bytes) else word.to_bytes(32) for word in words
    ]
    pairs = list(zip(event.parameters, values, strict=True))
    topics = [value for parameter, value in pairs if parameter.indexed]
    data = [value for parameter, value in pairs if not parameter.indexed]
    return Event(contract, (event.topic0, *topics), b"".join(data))


def test_staking_rewards_add_and_take(tmp_path: Path) -> None:
    source = loaded(tmp_path, {"preset": "staking-rewards"})
    assert source.rule.holding == Holding(DAY, DAY, 0)
    assert source.kind == "staking"
    earnings = found(
        source,
        staked(VAULT, ALICE, 5 * TOKEN),
        withdrawn(VAULT, ALICE, TOKEN),
        staked(VAULT, BOB, 0),
    )
    assert told(earnings) == [(ALICE, ADDS, 5 * TOKEN), (ALICE, TAKES, TOKEN)]
    assert [event.credits for event in earnings.events] == [0, 0]


def test_a_transfer_takes_from_one_and_adds_to_another(tmp_path: Path) -> None:
    source = loaded(tmp_path, {"preset": "erc20-holding"})
    transfers = [(ALICE, BOB), (bytes(20), ALICE), (BOB, bytes(20)), (BOB, BOB)]
    logs = [log_of(source, 0, one, two, 9) for one, two in transfers]
    earnings = found(source, *logs, log_of(source, 0, ALICE, BOB, 0))
    assert told(earnings) == [(BOB, ADDS, 9), (ALICE, TAKES, 9), (ALICE, ADDS, 9), (BOB, TAKES, 9)]
    assert earnings.set_aside == ()


@pytest.mark.parametrize(
    "transfers",
    [
        [(ALICE, SHOP, 98), (ALICE, KEEPER, 2)],
        [(ALICE, SHOP, 98), (SHOP, KEEPER, 2)],
        [(ALICE, SHOP, 98), (ALICE, bytes(20), 2), (SHOP, SHOP, 5), (ALICE, SHOP, 0)],
    ],
    ids=["taken from who sends", "taken from who receives", "burnt, and nothing moves twice"],
)
def test_of_a_token_that_keeps_a_fee_counts_what_its_transfer_says_came_in(
    tmp_path: Path, transfers: list[tuple[bytes, bytes, int]]
) -> None:
    where = {"to": f"0x{SHOP.hex()}"}
    source = loaded(tmp_path, {"preset": "erc20-transfer-in", "where": where}, decimals=0)
    earnings = found(source, *(log_of(source, 0, *each) for each in transfers))
    assert told(earnings)[0] == (ALICE, EARNS, 98)
    assert {event.wallet for event in earnings.events} == {ALICE}
    assert sum(event.credits for event in earnings.events) == 98 * CREDIT


def test_how_many_decimals_a_token_has_is_what_the_configuration_says(tmp_path: Path) -> None:
    said = {"preset": "erc20-transfer-in", "where": {"to": f"0x{SHOP.hex()}"}}
    for decimals in (0, 6, 18):
        source = loaded(tmp_path, said, decimals=decimals)
        (event,) = found(source, log_of(source, 0, ALICE, SHOP, 3 * 10**decimals)).events
        assert event.credits == 3 * CREDIT


def test_of_a_masterchef_one_pool_counts_in_either_version(tmp_path: Path) -> None:
    source = loaded(tmp_path, {"preset": "masterchef", "where": {"pid": 3}})
    logs = [
        log_of(source, 0, ALICE, 3, 10),
        log_of(source, 0, ALICE, 4, 10),
        log_of(source, 1, ALICE, 3, 20, BOB),  # paid by Alice, Bob's
        log_of(source, 2, ALICE, 3, 5),
        log_of(source, 3, ALICE, 3, 1),
        log_of(source, 4, BOB, 3, 7, ALICE),
        log_of(source, 5, BOB, 3, 2, ALICE),
    ]
    assert told(found(source, *logs)) == [
        (ALICE, ADDS, 10),
        (BOB, ADDS, 20),
        (ALICE, TAKES, 5),
        (ALICE, TAKES, 1),
        (BOB, TAKES, 7),
        (BOB, TAKES, 2),
    ]


def test_shares_that_are_burnt_go_without_a_transfer(tmp_path: Path) -> None:
    source = loaded(tmp_path, {"preset": "lido-shares"})
    logs = [log_of(source, 0, ALICE, BOB, 9), log_of(source, 2, BOB, 100, 90, 4)]
    assert told(found(source, *logs)) == [(BOB, ADDS, 9), (ALICE, TAKES, 9), (BOB, TAKES, 4)]


def test_a_withdrawal_of_the_same_words_but_another_meaning_is_set_aside(tmp_path: Path) -> None:
    chef = loaded(tmp_path, {"preset": "masterchef", "where": {"pid": 3}})
    lock = loaded(tmp_path, {"preset": "ve-lock"})
    assert told(found(lock, log_of(lock, 1, ALICE, 5, 0))) == [(ALICE, TAKES, 5)]
    (aside,) = found(lock, log_of(chef, 2, ALICE, 3, 5)).set_aside
    assert aside.reason == "ve-lock.Withdraw has 2 topics, the log 3"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_needs_its_narrowing_and_no_more(tmp_path: Path, name: str) -> None:
    preset = PRESETS[name]
    where = {field: 1 if field == "pid" else "0x" + "cd" * 20 for field in preset.narrowed_by}
    said: dict[str, Any] = {"preset": name} | ({"where": where} if where else {})
    source = loaded(tmp_path, said)
    assert [(each.event, each.role) for each in source.events] == list(preset.parts)
    are_stakes = any(role != "earns" for _, role in preset.parts)
    assert (source.rule.holding is not None) == are_stakes
    if where:
        content = document()
        del content["chains"][0]["sources"][0]["event"]
        content["chains"][0]["sources"][0]["preset"] = name
        content["chains"][0]["sources"][0]["rule"] = {"credits": "1", "per": "1", "decimals": 18}
        (mistake,) = mistakes_of(tmp_path, content)
        assert "is about one of them only" in mistake.message


def test_a_holding_time_a_period_and_later_rates_can_be_told(tmp_path: Path) -> None:
    source = loaded(
        tmp_path,
        {"preset": "ve-lock"},
        every="week",
        period="hour",
        hold_hours=36,
        rates=[{"from": NEW_YEAR, "credits": "2"}, {"from": LATER, "credits": "0"}],
    )
    assert source.rule.holding == Holding(7 * DAY, 3_600, 36 * 3_600)
    assert source.rule.rates == (
        (int(NEW_YEAR.timestamp()), 2_000_000),
        (int(LATER.timestamp()), 0),
    )


def test_what_an_event_earns_is_by_the_rate_of_its_block() -> None:
    rule = Rule(1_000_000, TOKEN, rates=((100, 2_000_000), (200, 0)))
    assert [credits_for(rule, TOKEN, time) for time in (0, 99, 100, 199, 200, 10**10)] == [
        *(1_000_000, 1_000_000),
        *(2_000_000, 2_000_000),
        *(0, 0),
    ]


def test_an_event_may_have_versions_each_in_its_blocks(tmp_path: Path) -> None:
    old = {"signature": "Joined(address indexed who,uint256 sum)", "wallet": "who", "amount": "sum"}
    new = old | {"signature": "Joined(address indexed who,uint256 sum,bytes32 why)"}
    source = loaded(tmp_path, {"event": [old | {"to_block": 0}, new | {"from_block": 1}]})
    of_old, of_new = log_of(source, 0, ALICE, 5), log_of(source, 1, ALICE, 6, b"why")
    assert told(found(source, of_new, of_old)) == [(ALICE, EARNS, 6)]
    assert source.followed.splitlines() == [
        f"{old['signature']} wallet=who amount=sum",
        f"{new['signature']} wallet=who amount=sum from 1",
    ]


def test_a_log_of_either_meaning_of_one_topic_is_taken_and_of_neither_set_aside(
    tmp_path: Path,
) -> None:
    plain = {"signature": "Staked(address staker,uint256 sum)", "wallet": "staker", "amount": "sum"}
    indexed = plain | {"signature": "Staked(address indexed staker,uint256 sum)"}
    source = loaded(tmp_path, {"event": [plain, indexed]})
    logs = [log_of(source, index, ALICE, 5 + index) for index in (0, 1)]
    odd = Event(VAULT, logs[0].topics, b"\x01")
    earnings = found(source, *logs, odd)
    assert told(earnings) == [(ALICE, EARNS, 5), (ALICE, EARNS, 6)]
    (aside,) = earnings.set_aside
    assert aside.reason.count("bytes of data") == 1
    assert "has 2 topics, the log 1" in aside.reason


def test_a_source_may_follow_several_contracts(tmp_path: Path) -> None:
    addresses = [f"0x{VAULT.hex()}", f"0x{POOL.hex()}"]
    source = loaded(tmp_path, {"preset": "staking-rewards", "contract": addresses})
    assert source.contracts == (VAULT, POOL)
    assert told(found(source, staked(VAULT, ALICE, 1), staked(POOL, BOB, 2))) == [
        (ALICE, ADDS, 1),
        (BOB, ADDS, 2),
    ]
    assert source.followed.splitlines()[-1] == f"also of 0x{POOL.hex()}"


STAKES = {"adds": "staking-rewards.Staked", "takes": "staking-rewards.RewardPaid"}
MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "no such preset": ({"preset": "stakes"}, {}, "preset", "is no preset"),
    "two of them": ({"preset": "ve-lock", "event": "x"}, {}, "event", "keep one of them"),
    "none of them": ({}, {}, "event", "is missing: write what it is about"),
    "only adds": ({"stakes": {"adds": "eip918.Mint"}}, {}, "stakes.takes", "is missing"),
    "no list": ({"stakes": STAKES | {"adds": []}}, {}, "stakes.adds", "must be 1 to 20 events"),
    "an unknown one": (
        {"stakes": STAKES | {"adds": ["eip918.Mint", "x"]}},
        {},
        "stakes.adds[1]",
        "is no known event",
    ),
    "one twice": (
        {"stakes": STAKES | {"adds": ["eip918.Mint", "eip918.Mint"]}},
        {},
        "stakes",
        "one log would count twice",
    ),
    "a contract twice": (
        {"preset": "ve-lock", "contract": [f"0x{POOL.hex()}"] * 2},
        {},
        "contract",
        "has an address twice",
    ),
    "a bad address": (
        {"preset": "ve-lock", "contract": [f"0x{POOL.hex()}", "0x12"]},
        {},
        "contract[1]",
        "must be a contract's address",
    ),
    "a cap per event": (
        {"stakes": STAKES},
        {"max_per_event": "5"},
        "rule.max_per_event",
        "is not a setting here",
    ),
    "a total": (
        {"preset": "ve-lock", "total": "supply"},
        {},
        "total",
        'a function without arguments such as "totalSupply()"',
    ),
    "a balance of nobody": (
        {"preset": "ve-lock", "balance": "balanceOf()"},
        {},
        "balance",
        'a function of one address such as "balanceOf(address)"',
    ),
    "a balance of a pool": (
        {"preset": "ve-lock", "balance": "userInfo(uint256,address)"},
        {},
        "balance",
        "a function of one address",
    ),
    "a balance of events": (
        {"event": "eip918.Mint", "balance": "x(address)"},
        {},
        "balance",
        "is not a setting",
    ),
    "a total of events": (
        {"event": "eip918.Mint", "total": "x()"},
        {},
        "total",
        "is not a setting",
    ),
    "a span": ({"stakes": STAKES}, {"every": "month"}, "rule.every", "one of hour, day, week"),
    "time for an event": ({"event": "eip918.Mint"}, {"hold_hours": 5}, "rule.hold_hours", "not a"),
    "a local time": (
        {"stakes": STAKES},
        {"rates": [{"from": NEW_YEAR.replace(tzinfo=None), "credits": "1"}]},
        "rule.rates[0].from",
        "with its offset",
    ),
    "rates in disorder": (
        {"stakes": STAKES},
        {"rates": [{"from": LATER, "credits": "1"}, {"from": NEW_YEAR, "credits": "1"}]},
        "rule.rates[1].from",
        "is not after",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_source_of_stakes_is_told_at_its_place(tmp_path: Path, name: str) -> None:
    said, rule, place, fragment = MISTAKES[name]
    content = document()
    source = content["chains"][0]["sources"][0]
    del source["event"]
    source |= said
    source["rule"] = {"credits": "1", "per": "1", "decimals": 18} | rule
    (mistake,) = mistakes_of(tmp_path, content)
    assert mistake.place == f"chains[0].sources[0].{place}"
    assert fragment in mistake.message
