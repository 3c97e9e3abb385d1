from pathlib import Path

import pytest
from config_documents import ABSENT, CHAIN, RULE, SOURCE, document, load, mistakes_of

from daemon.configuration.config import ConfigError
from daemon.configuration.toml_reader import FILE_BYTES_MAX

ONE_MISTAKE: dict[str, tuple[tuple[str | int, ...], object, str]] = {
    # types: a bool is no number, a number no text, a table no array
    "bool for a number": (("api", "port"), True, "from 0 to 65535, without quotes or point (got"),
    "text for a number": ((*CHAIN, "chain_id"), "1", 'without quotes or point (got "1")'),
    "float for a number": ((*CHAIN, "poll_ms"), 2000.0, "(got 2000.0)"),
    "number for a text": ((*CHAIN, "name"), 7, "in quotes (got 7)"),
    "array for a text": ((*SOURCE, "name"), ["x"], "in quotes (got an array)"),
    "value for a section": (("api",), 8402, "must be a table, [api] (got 8402)"),
    "table for an array": (("chains",), {"name": "local"}, "headed [[chains]] (got a table)"),
    "value for a chain": (("chains", 1), 1, "headed [[chains]] (got 1)"),
    "value for a rule": (RULE, "10", 'must be a table such as { credits = "10", … } (got "10")'),
    # missing
    "no chains": (("chains",), ABSENT, "is missing: write one or more tables headed [[chains]]"),
    "empty chains": (("chains",), [], "is missing: write one or more tables headed [[chains]]"),
    "no sources": ((*CHAIN, "sources"), [], "headed [[chains.sources]]"),
    "no chain id": ((*CHAIN, "chain_id"), ABSENT, "is missing: write a whole number from 1 to"),
    "no node": ((*CHAIN, "rpc_url"), ABSENT, 'is missing: write an address such as "http://…"'),
    "no rule": (RULE, ABSENT, "is missing: write a table such as"),
    "no credits": ((*RULE, "credits"), ABSENT, 'is missing: write a decimal string such as "0.5"'),
    "no per": ((*RULE, "per"), ABSENT, "is missing: write a decimal string of tokens"),
    "no decimals": ((*RULE, "decimals"), ABSENT, "is missing: write a whole number from 0 to 77"),
    "no from_block": ((*SOURCE, "from_block"), ABSENT, "is missing"),
    # unknown
    "unknown section": (("databse",), {}, 'is not a setting here: did you mean "database"?'),
    "unknown in a chain": ((*CHAIN, "spanmax"), 9, 'did you mean "span_max"?'),
    "unknown in a rule": ((*RULE, "zzz"), 9, "there are credits, decimals, expires_days, max_in_"),
    "unknown in depth": ((*CHAIN, "confirmation"), {"depth": 12, "tag": "x"}, "not a setting"),
    # ranges
    "port too high": (("api", "port"), 65536, "must be a whole number from 0 to 65535 (got 65536)"),
    "no lanes": (("api", "lanes"), 0, "from 1 to 64 (got 0)"),
    "no queue": (("api", "queue_max"), 0, "from 1 to 1000000 (got 0)"),
    "chain zero": ((*CHAIN, "chain_id"), 0, "(got 0)"),
    "chain id beyond EIP-2294": ((*CHAIN, "chain_id"), 2**63 - 36, "to 9223372036854775771 (got"),
    "number of many digits": ((*CHAIN, "chain_id"), 2**20000, "(got a number of 20001 bits)"),
    "poll too often": ((*CHAIN, "poll_ms"), 99, "from 100 to 600000 (got 99)"),
    "span zero": ((*CHAIN, "span_max"), 0, "from 1 to 10000 (got 0)"),
    "remembers too little": ((*CHAIN, "blocks_remembered"), 127, "from 128 to 1000000 (got 127)"),
    "block below zero": ((*SOURCE, "from_block"), -1, "(got -1)"),
    "decimals of no token": ((*RULE, "decimals"), 78, "from 0 to 77 (got 78)"),
    "expires at once": ((*RULE, "expires_days"), 0, "from 1 to 36500 (got 0)"),
    # events
    "kind of nothing": ((*SOURCE, "kind"), "holding", 'must be "mining" (credits for work) or'),
    "event of no signature": (
        (*SOURCE, "event"),
        {"wallet": "to", "amount": "sum"},
        'is missing: write a signature such as "Paid(address indexed to,uint256 sum)"',
    ),
    "event that is none": (
        (*SOURCE, "event"),
        {"signature": "Paid(address to,uint sum)", "wallet": "to", "amount": "sum"},
        "'uint' is not a type that is known here",
    ),
    "event of nobody": (
        (*SOURCE, "event"),
        {"signature": "Paid(address to,uint256 sum)", "wallet": "who", "amount": "sum"},
        "the wallet 'who' is not an address of",
    ),
    "condition on nothing": ((*SOURCE, "where"), {"pid": 3}, "is no field of the event: there are"),
    "condition of another type": (
        (*SOURCE, "where"),
        {"amount": "0x01"},
        'must be uint256 (got "0x01")',
    ),
    "condition of another length": (
        (*SOURCE, "where"),
        {"user": "0x01"},
        'must be address (got "0x01")',
    ),
    "condition below what can be": ((*SOURCE, "where"), {"amount": -1}, "must be uint256 (got -1)"),
    "condition that is a number": ((*SOURCE, "where"), {"user": 1}, "must be address (got 1)"),
    "condition on a mistyped address": (
        (*SOURCE, "where"),
        {"user": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0513"},
        "fails its checksum",
    ),
    # texts
    "empty name": ((*CHAIN, "name"), "", "is empty: write a name"),
    "name of two lines": ((*CHAIN, "name"), "a\nb", "without line breaks"),
    "name with capitals": ((*SOURCE, "name"), "Vault Stakes", '(got "Vault Stakes")'),
    "host with port": (("api", "host"), "127.0.0.1:80", "without port"),
    "host out of range": (("api", "host"), "127.0.0.256", "an IP address, without port"),
    "home as data_dir": (("database", "data_dir"), "~/books", "must be written out"),
    "variable as a path": (("api", "prices"), "$PRICES", "$ and ~ are not filled in here"),
    # addresses
    "not an address": ((*CHAIN, "rpc_url"), "localhost", "is not an address such as scheme://"),
    "websocket": ((*CHAIN, "rpc_url"), "ws://node.example", "must begin with http:// or https://"),
    "no host": ((*CHAIN, "rpc_url"), "http:///v1", "must name one host"),
    "two hosts": ((*CHAIN, "rpc_url"), "http://a.example,b.example/", "must name one host"),
    "no nodes": ((*CHAIN, "rpc_url"), [], "or a list of 1 to 8 of these"),
    "a node that is none": ((*CHAIN, "rpc_url"), [1], "or a list of 1 to 8 of these"),
    "too many nodes": ((*CHAIN, "rpc_url"), ["http://a"] * 9, "or a list of 1 to 8 of these"),
    "a node twice": ((*CHAIN, "rpc_url"), ["http://a"] * 2, "has an address twice"),
    "one of two no address": ((*CHAIN, "rpc_url"), ["http://a", "b"], "is not an address such as"),
    "rate below nothing": ((*CHAIN, "requests_per_second"), -1, "one for each under rpc_url"),
    "rate of nobody": ((*CHAIN, "requests_per_second"), [5, 5], "a list of 1 of them"),
    "rate in words": ((*CHAIN, "requests_per_second"), "5", '0 is no limit (got "5")'),
    "rate of truth": ((*CHAIN, "requests_per_second"), [True], "(got an array)"),
    "more than there are": ((*CHAIN, "agree"), 2, "from 1 to 1 (got 2)"),
    "odd host": ((*CHAIN, "rpc_url"), "http://a*b/", "has a host that is no name"),
    "another database": (("database", "url"), "mysql://db/x", "must begin with postgresql:// or"),
    "unset variable": ((*CHAIN, "rpc_url"), "$NODE_URL", "that are not set: NODE_URL; export"),
    "unset in part": ((*CHAIN, "rpc_url"), "https://n.example/${KEY}", "that are not set: KEY;"),
    "lone dollar": ((*CHAIN, "rpc_url"), "https://n.example/a$", "a dollar itself is %24"),
    # confirmation
    "no confirmation": ((*CHAIN, "confirmation"), ABSENT, "is missing: write confirmation = "),
    "safe": ((*CHAIN, "confirmation"), "safe", 'cannot be "safe": such blocks may still be'),
    "latest": ((*CHAIN, "confirmation"), "latest", 'cannot be "latest"'),
    "bare depth": ((*CHAIN, "confirmation"), 12, "is 12. Write confirmation = "),
    "depth zero": ((*CHAIN, "confirmation", "depth"), 0, "from 1 to 100000 (got 0)"),
    "depth as text": (
        (*CHAIN, "confirmation", "depth"),
        "12",
        'without quotes or point (got "12")',
    ),
    "unknown on_deep_reorg": ((*CHAIN, "on_deep_reorg"), "revert", '(got "revert")'),
    "reverse past finality": (("chains", 1, "on_deep_reorg"), "reverse", "for a person to judge"),
    # sources
    "short contract": ((*SOURCE, "contract"), "0xabc", "0x and 40 hexadecimal digits (got 5 char"),
    "wrong checksum": (
        (*SOURCE, "contract"),
        "0xE7f1725E7734CE288F8367e1Bb143E90bb3F0512",
        "fails its checksum",
    ),
    "zero contract": ((*SOURCE, "contract"), "0x" + "0" * 40, "is the zero address"),
    "unknown event": (
        (*SOURCE, "event"),
        "staking-rewards.Stake",
        'is no known event: did you mean "staking-rewards.Staked"?',
    ),
    "ends before it begins": ((*SOURCE, "to_block"), 9, "is before from_block (10)"),
    # rules
    "float credits": (
        (*RULE, "credits"),
        0.5,
        'must be a decimal string such as "0.5" (got 0.5: a float loses cents)',
    ),
    "credits without quotes": ((*RULE, "credits"), 10, "(got 10: without quotes)"),
    "no credits at all": (
        (*RULE, "credits"),
        "0",
        'more than 0 and at most 1000000000000 (got "0")',
    ),
    "seven decimals": ((*RULE, "credits"), "0.0000001", "at most six of them after the point"),
    "signed": ((*RULE, "credits"), "-1", "no sign"),
    "per nothing": ((*RULE, "per"), "0", "must be more than 0"),
    "per in words": ((*RULE, "per"), "one", 'such as "1" or "0.5" (got "one")'),
    "per finer than the token": (
        ("chains", 0, "sources", 1, "rule", "per"),
        "0.0000001",
        "the token has 6",
    ),
    "per beyond a uint256": ((*RULE, "per"), "9" * 77, "at most 2^256 base units"),
    "a token earns nothing": ((*RULE, "per"), "10000001", "which is rounded down to nothing"),
    "cap beyond one grant": (
        (*RULE, "max_per_event"),
        "1000000000001",
        "at most 1000000000000 (got",
    ),
    "cap beyond the books": (
        (*RULE, "max_per_account"),
        "4000000000001",
        "at most 4000000000000 (got",
    ),
    "cap below the rate": ((*RULE, "max_per_event"), "9.999999", "is less than credits (10)"),
    "event cap above the day's": (
        (*RULE, "max_per_event"),
        "501",
        "is more than max_per_account_day",
    ),
    "day's cap above all": (
        (*RULE, "max_per_account_day"),
        "1001",
        "is more than max_per_account (1000)",
    ),
}


@pytest.mark.parametrize(("place", "value", "fragment"), ONE_MISTAKE.values(), ids=ONE_MISTAKE)
def test_a_mistake_is_reported_at_its_place_and_alone(
    tmp_path: Path, place: tuple[str | int, ...], value: object, fragment: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, document({place: value}))
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)[1:]
    assert mistake.place.startswith(written)
    assert fragment in mistake.message


TWO_PLACES: dict[str, tuple[dict[tuple[str | int, ...], object], str, str]] = {
    "depth beyond memory": (
        {(*CHAIN, "confirmation", "depth"): 10_000},
        "chains[0].blocks_remembered",
        "the confirmed block is 10000 below the head: write 10001 at least",
    ),
    "two chains of one id": (
        {("chains", 1, "chain_id"): 31337},
        "chains[1].chain_id",
        "31337 is also chains[0].chain_id",
    ),
    "two chains of one name": (
        {("chains", 1, "name"): "local"},
        "chains[1].name",
        '"local" is also chains[0].name',
    ),
    "two sources of one name on two chains": (
        {("chains", 1, "sources", 0, "name"): "stakes"},
        "chains[1].sources[0].name",
        '"stakes" is also chains[0].sources[0].name',
    ),
    "one event that earns twice": (
        {
            ("chains", 0, "sources", 1, "contract"): "0xE7F1725E7734CE288F8367E1BB143E90BB3F0512",
            ("chains", 0, "sources", 1, "event"): "staking-rewards.Staked",
            ("chains", 0, "sources", 1, "to_block"): 10,
        },
        "chains[0].sources[0].from_block",
        "overlaps chains[0].sources[1].from_block",
    ),
}


@pytest.mark.parametrize(("changes", "place", "fragment"), TWO_PLACES.values(), ids=TWO_PLACES)
def test_settings_that_contradict_each_other_are_a_mistake(
    tmp_path: Path, changes: dict[tuple[str | int, ...], object], place: str, fragment: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, document(changes))
    assert mistake.place == place
    assert fragment in mistake.message


def test_ten_mistakes_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """
            colour = "blue"
            [api]
            port = "8402"
            lanes = true
            [[chains]]
            confirmation = "safe"
            name = "Local"
            chain_id = 1
            rpc_url = "$NODE_URL"
            [[chains.sources]]
            name = "stakes"
            contract = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F051"
            event = "staking-rewards.Steaked"
            from_block = -1
            rule = { credits = 0.5, per = "1", decimals = 18 }
            """,
        )
    assert [mistake.place for mistake in caught.value.mistakes] == [
        "colour",
        "api.port",
        "api.lanes",
        "chains[0].confirmation",
        "chains[0].name",
        "chains[0].rpc_url",
        "chains[0].sources[0].contract",
        "chains[0].sources[0].event",
        "chains[0].sources[0].from_block",
        "chains[0].sources[0].rule.credits",
    ]
    lines = str(caught.value).splitlines()
    assert len(lines) == 10
    assert lines[9] == (
        f"{tmp_path / 'creditd.toml'}: chains[0].sources[0].rule.credits:"
        ' must be a decimal string such as "0.5" (got 0.5: a float loses cents)'
    )


SYNTAX = {
    "no quotes": (
        "[api]\nhost = here\n",
        "line 2, column 8",
        "text stands in quotes, as in name =",
    ),
    "twice": ("[api]\nport = 1\nport = 2\n", "line 3, column 9", "is not TOML: cannot overwrite"),
    "open text": ('[api]\nhost = "x', "line 2, column 10", "is not TOML: unterminated string"),
    "open table": ("[api", "line 1, column 5", "is not TOML: expected ']'"),
    "deep": ("x = " + "[" * 5000, "", "nests arrays or tables too deeply"),
    "long number": (f"x = {'9' * 5000}", "", "holds a number of thousands of digits"),
    "long file": ("#" * (FILE_BYTES_MAX + 1), "", f"is longer than {FILE_BYTES_MAX} bytes"),
}


@pytest.mark.parametrize(("text", "place", "fragment"), SYNTAX.values(), ids=SYNTAX)
def test_what_is_not_toml_is_reported_with_its_line(
    tmp_path: Path, text: str, place: str, fragment: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    (mistake,) = caught.value.mistakes
    assert mistake.place == place
    assert fragment in mistake.message
