import re
from pathlib import Path
from typing import Any

import pytest
from config_documents import CHAIN, EVENTS, RULE, SOURCE, document, load, mistakes_of, places, toml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.pricing.price_file import parse_prices
from contracts import catalogue
from daemon.configuration.config import (
    Chain,
    Config,
    ConfigError,
    Depth,
    Finalized,
    Operator,
    SecretUrl,
    Source,
    example_config,
    example_prices,
    load_config,
)
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Rule
from ledger.credits import MICRO_MAX

ROOT = Path(__file__).parent.parent


def test_a_right_file_becomes_values(tmp_path: Path) -> None:
    config = load(tmp_path, toml(document()))
    assert config.database.url == SecretUrl("postgresql://books:pa55@db.example:5432/creditd")
    assert config.database.data_dir == tmp_path / "data"
    assert config.api.prices == tmp_path / "p.toml"
    assert config.chains[0] == Chain(
        name="local",
        chain_id=31337,
        rpc_urls=(SecretUrl("http://127.0.0.1:8545"),),
        confirmation=Depth(12),
        on_deep_reorg="reverse",
        poll_ms=2000,
        span_max=500,
        blocks_remembered=10000,
        sources=config.chains[0].sources,
        finality_alarm_seconds=600 + 60 * 12,
    )
    assert config.chains[0].sources[0] == Source(
        name="stakes",
        contracts=(bytes.fromhex("e7f1725e7734ce288f8367e1bb143e90bb3f0512"),),
        events=(FollowedEvent(EVENTS["staking-rewards.Staked"]),),
        from_block=10,
        to_block=99,
        rule=Rule(
            credits_micro=10_000_000,
            per_base_units=10**18,
            max_per_event_micro=100_000_000,
            max_per_account_micro=1_000_000_000,
            max_per_account_day_micro=500_000_000,
            expires_days=365,
        ),
    )
    assert config.chains[0].sources[1].rule == Rule(500_000, 50 * 10**6)
    assert config.chains[1].sources[0].rule.per_base_units == 5 * 10**17


@pytest.mark.parametrize("page", ["credits.example", "ftp://credits.example", "https://", "a b", 3])
def test_pages_for_whoever_lacks_credits_are_addresses(tmp_path: Path, page: object) -> None:
    good = {"earn_url": "http://127.0.0.1:8080/earn?x=1#y", "top_up_url": "https://pay.example"}
    config = load(tmp_path, toml({"api": good, "chains": document()["chains"]}))
    assert {"earn_url": config.api.earn_url, "top_up_url": config.api.top_up_url} == good
    with pytest.raises(ConfigError, match="top_up_url"):
        load(tmp_path, toml({"api": {"top_up_url": page}, "chains": document()["chains"]}))


def test_what_is_left_out_has_a_careful_default(tmp_path: Path) -> None:
    config = load(tmp_path, toml({"chains": document()["chains"]}))
    assert config.database.url is None
    assert config.database.data_dir == tmp_path / ".creditd"
    assert (config.api.host, config.api.port) == ("127.0.0.1", 8402)
    assert (config.api.lanes, config.api.queue_max) == (1, 4096)
    assert config.api.prices == tmp_path / "prices.toml"
    chain = config.chains[1]
    assert (chain.confirmation, chain.on_deep_reorg) == (Finalized(), "halt")
    assert (chain.poll_ms, chain.span_max, chain.blocks_remembered) == (2000, 500, 10000)
    assert chain.sources[0].to_block is None


def test_a_chain_may_have_several_nodes(tmp_path: Path) -> None:
    urls = ["https://a.example/v1/k3y", "http://b.example:8545"]
    content = document()
    content["chains"][0] |= {"rpc_url": urls, "agree": 2}
    chain = load(tmp_path, toml(content)).chains[0]
    assert chain.rpc_urls == tuple(SecretUrl(url) for url in urls)
    assert chain.agree == 2


def test_nodes_may_be_spared_together_or_each_in_its_measure(tmp_path: Path) -> None:
    content = document()
    content["chains"][0] |= {"rpc_url": ["http://a", "http://b"], "requests_per_second": 25}
    assert load(tmp_path, toml(content)).chains[0].requests_per_second == (25, 25)
    content["chains"][0]["requests_per_second"] = [0, 10]
    chains = load(tmp_path, toml(content)).chains
    assert chains[0].requests_per_second == (None, 10)
    assert chains[1].requests_per_second == ()


def test_an_event_may_be_declared_and_narrowed_by_its_fields(tmp_path: Path) -> None:
    content = document()
    content["chains"][0]["sources"][0] |= {
        "event": {
            "signature": "Paid(address indexed to, uint256 indexed pool, uint256 sum, bool first)",
            "wallet": "to",
            "amount": "sum",
        },
        "where": {"pool": 3, "first": True, "to": "0x" + "ab" * 20},
        "kind": "mining",
    }
    source = load(tmp_path, toml(content)).chains[0].sources[0]
    (followed,) = source.events
    assert (followed.event.wallet, followed.event.amount) == ("to", "sum")
    assert source.kind == "mining"
    assert dict(followed.where) == {"pool": 3, "first": 1, "to": b"\xab" * 20}
    # What the books keep of it: another one under the same name is refused.
    assert source.followed == (
        "Paid(address indexed to, uint256 indexed pool, uint256 sum, bool first)"
        f" wallet=to amount=sum first=1 pool=3 to=0x{'ab' * 20}"
    )


@pytest.mark.parametrize(("where", "apart"), [({"user": "0x" + "02" * 20}, True), ({}, False)])
def test_two_sources_may_share_an_event_where_no_log_of_it_is_of_both(
    tmp_path: Path, where: dict[str, object], apart: bool
) -> None:
    content = document()
    sources = content["chains"][0]["sources"]
    sources[0]["where"] = {"user": "0x" + "01" * 20}
    sources[1] |= {key: sources[0][key] for key in ("contract", "event", "from_block")}
    sources[1]["where"] = where
    if apart:
        assert len(load(tmp_path, toml(content)).chains[0].sources) == len(sources)
    else:
        (mistake,) = mistakes_of(tmp_path, content)
        assert "each event would earn twice" in mistake.message


LAST_RIGHT: list[dict[tuple[str | int, ...], object]] = [
    {(*RULE, "max_per_event"): "10"},
    {(*RULE, "max_per_event"): "500", (*RULE, "max_per_account"): "500"},
    {(*RULE, "per"): "10000000"},
    {(*RULE, "per"): "0.000000000000000001"},
    {("chains", 0, "sources", 1, "rule", "decimals"): 0},
    {(*SOURCE, "to_block"): 10},
    {(*SOURCE, "contract"): "0x" + "AB" * 20},
    {(*CHAIN, "blocks_remembered"): 128},
    {(*CHAIN, "confirmation", "depth"): 9_999},
    {(*CHAIN, "chain_id"): 2**63 - 37},
    {("api", "host"): "::1", ("api", "port"): 0},
    {("api", "host"): "creditd-api.internal"},
]


@pytest.mark.parametrize("changes", LAST_RIGHT, ids=str)
def test_what_lies_just_within_its_bounds_is_right(
    tmp_path: Path, changes: dict[tuple[str | int, ...], object]
) -> None:
    load(tmp_path, toml(document(changes)))


def sources_over(*ranges: tuple[int, int | None]) -> dict[str, Any]:
    """Return a configuration with one source of the same event for each range of blocks."""
    values = document()
    pattern = values["chains"][0]["sources"][0]
    values["chains"][0]["sources"] = [
        {key: value for key, value in pattern.items() if key != "to_block"}
        | {"name": f"stakes-{index}", "from_block": first}
        | ({} if last is None else {"to_block": last})
        for index, (first, last) in enumerate(ranges)
    ]
    return values


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.none() | st.integers(0, 8)).filter(
            lambda blocks: blocks[1] is None or blocks[0] <= blocks[1]
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_block_earns_twice_from_one_event(
    tmp_path: Path, ranges: list[tuple[int, int | None]]
) -> None:
    paid = [
        block for first, last in ranges for block in range(first, 20 if last is None else last + 1)
    ]
    if len(paid) == len(set(paid)):
        load(tmp_path, toml(sources_over(*ranges)))
    else:
        found = mistakes_of(tmp_path, sources_over(*ranges))
        assert all("each event would earn twice" in mistake.message for mistake in found)


def test_the_same_contract_on_two_chains_may_earn_on_both(tmp_path: Path) -> None:
    values = document()
    values["chains"][1]["sources"][0] |= {
        "contract": values["chains"][0]["sources"][0]["contract"],
        "event": values["chains"][0]["sources"][0]["event"],
    }
    assert len(load(tmp_path, toml(values)).chains) == 2


def test_a_file_in_another_encoding_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "creditd.toml"
    path.write_bytes('[api]\n# für\nhost = "x"\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="line 2: is not UTF-8: save the file as UTF-8"):
        load_config(path, {}, events=EVENTS)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    path = tmp_path / "creditd.toml"
    with pytest.raises(ConfigError) as caught:
        load_config(path, {}, events=EVENTS)
    assert str(caught.value) == (
        f"{path}: no such file: write one with `creditd config example > {path}`"
    )


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {}, events=EVENTS)


def uncommented(text: str) -> str:
    """Return an example with the settings it leaves out."""
    return re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)


def test_the_example_has_no_mistakes_with_and_without_what_it_leaves_out(tmp_path: Path) -> None:
    events = catalogue.EVENTS
    path = tmp_path / "creditd.toml"
    path.write_text(example_config(), encoding="utf-8")
    assert load_config(path, {}, events=events).database.url is None
    path.write_text(uncommented(example_config()), encoding="utf-8")
    environ = {
        "DATABASE_URL": "postgresql://db/creditd",
        "ETHEREUM_RPC_KEY": "k3y",
        "BILLING_SECRET": "whsec_" + "A" * 44,
        "BILLING_OLD": "whsec_" + "B" * 44,
    }
    config: Config = load_config(path, environ, events=events)
    assert config.database.url == SecretUrl("postgresql://db/creditd")
    assert config.operator == Operator("127.0.0.1", 8403)
    assert [chain.confirmation for chain in config.chains] == [Depth(2), Finalized()]
    assert [len(receiver.secrets) for receiver in config.webhooks] == [2]


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ('host = "127.0.0.1"', "operator.port: is missing: without a port nobody listens"),
        ("port = 8402", "operator.port: 8402 is the port of [api]: choose another"),
        ("port = 8403\nadmin = true", "operator.admin"),
    ],
)
def test_operators_have_a_port_of_their_own(tmp_path: Path, table: str, mistake: str) -> None:
    path = tmp_path / "creditd.toml"
    path.write_text(f"{example_config()}\n[operator]\n{table}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(mistake)):
        load_config(path, {}, events=catalogue.EVENTS)
    path.write_text(example_config(), encoding="utf-8")
    assert load_config(path, {}, events=catalogue.EVENTS).operator is None


def test_the_example_is_at_hand_in_the_repository() -> None:
    assert (ROOT / "creditd.example.toml").read_text(encoding="utf-8") == example_config()
    assert (ROOT / "prices.example.toml").read_text(encoding="utf-8") == example_prices()


def test_the_example_prices_are_credits_in_quotes() -> None:
    rows = parse_prices(example_prices())
    assert {row.operation for row in rows} >= {"report.render", "search.query"}
    assert {row.model for row in rows} == {"", "large"}
    assert any(row.tiers for row in rows)
    for row in rows:
        assert 0 < row.base_micro + row.per_unit_micro < MICRO_MAX


VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.integers(2**70, 2**20000)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
    | st.sampled_from(["$", "${A}", "$A@b", "http://", "postgresql://u:p@h/d", "0x", "1e9", "\x00"])
    | st.dates()
    | st.times()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=9), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def load_or_error(folder: Path, text: str) -> Config | ConfigError:
    try:
        return load(folder, text)
    except ConfigError as error:
        return error


@given(st.dictionaries(st.sampled_from(places(document())), VALUES, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_raises_anything_but_a_configuration_error(
    tmp_path: Path, changes: dict[tuple[str | int, ...], object]
) -> None:
    # Outer places last: what was changed within them is gone then, not the other way round.
    ordered = dict(sorted(changes.items(), key=lambda change: -len(change[0])))
    outcome = load_or_error(tmp_path, toml(document(ordered)))
    if isinstance(outcome, ConfigError):
        assert outcome.mistakes
        assert len(str(outcome).splitlines()) == len(outcome.mistakes)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(r'[\[\]a-z."=\n1]{0,30}'))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_raises_anything_but_a_configuration_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)
