"""The table of known chains, and what a configuration may leave out because of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import creditd
from config_documents import ABSENT, CHAIN, document, load, mistakes_of, toml
from eth_typing import ChainId

from daemon.chain.known_chains import (
    KNOWN_CHAINS,
    Depth,
    Finalized,
    KnownChain,
    is_verify,
    known_chain,
)
from daemon.configuration.chain_settings import (
    AGREE_UNPROVEN_MIN,
    BLOCKS_REMEMBERED_MAX,
    DEPTH_MAX,
    Chain,
)
from daemon.configuration.sources import NAME

# Of the others eth-typing knows nothing.
IDS = {
    "ethereum": ChainId.ETH,
    "optimism": ChainId.OETH,
    "bnb": ChainId.BNB,
    "ethereum-classic": ChainId.ETC,
    "gnosis": ChainId.GNO,
    "polygon": ChainId.MATIC,
    "zksync": ChainId.ZKSYNC,
    "base": ChainId.BASE,
    "arbitrum": ChainId.ARB1,
    "celo": ChainId.CELO,
    "avalanche": ChainId.AVAX,
    "mordor": ChainId.METC,
    "bnb-testnet": ChainId.BNBT,
    "zksync-sepolia": ChainId.ZKSYNC_SEPOLIA,
    "chiado": ChainId.CHI,
    "fuji": ChainId.FUJI,
    "amoy": ChainId.POLYGONAMOY,
    "base-sepolia": ChainId.BASESEP,
    "arbitrum-sepolia": ChainId.ARB_SEP,
    "sepolia": ChainId.SEP,
    "optimism-sepolia": ChainId.OPSEP,
}
LONGEST_WITHOUT_BLOCKS_MS = 60_000


def chain_of(folder: Path, chain_id: int, **settings: object) -> Chain:
    """A chain whose table says its id, its nodes and what else is given."""
    return load(folder, toml(document_of(chain_id, **settings))).chains[0]


def document_of(chain_id: int, **settings: object) -> dict[str, Any]:
    changes: dict[tuple[str | int, ...], object] = {
        (*CHAIN, key): ABSENT for key in ("confirmation", "blocks_remembered", "on_deep_reorg")
    }
    changes |= {(*CHAIN, "chain_id"): chain_id, ("chains", 1, "chain_id"): 424_242}
    changed = document(changes)
    changed["chains"][0] |= settings
    return changed


@pytest.mark.parametrize("chain", KNOWN_CHAINS, ids=lambda chain: chain.name)
def test_every_row_is_well_formed(chain: KnownChain) -> None:
    assert NAME.fullmatch(chain.name)
    assert is_verify(chain.verify)
    assert chain.verify in ("bloom", "off")  # nothing less where proof may be had
    assert (chain.verify == "off") == (chain.recomputes == "no")
    assert 100 <= chain.block_ms <= LONGEST_WITHOUT_BLOCKS_MS
    assert chain.depth is None or 1 <= chain.depth <= DEPTH_MAX
    assert all(re.fullmatch("[a-z-]+", kind) for kind in (chain.headers, chain.receipts))
    if isinstance(chain.rule, Depth):
        assert chain.rule.blocks == chain.depth
        assert 2 * chain.rule.blocks <= BLOCKS_REMEMBERED_MAX


def test_no_id_and_no_name_is_there_twice() -> None:
    assert len({chain.chain_id for chain in KNOWN_CHAINS}) == len(KNOWN_CHAINS) >= 20
    assert len({chain.name for chain in KNOWN_CHAINS}) == len(KNOWN_CHAINS)


def test_ids_are_those_that_others_know_the_chains_by() -> None:
    ours = {chain.name: chain.chain_id for chain in KNOWN_CHAINS}
    assert {name: ours[name] for name in IDS} == IDS


def test_nothing_is_known_of_other_chains() -> None:
    assert known_chain(31337) is None
    assert known_chain(1) is not None


@pytest.mark.parametrize("known", KNOWN_CHAINS, ids=lambda chain: chain.name)
def test_a_known_chain_needs_only_its_id_and_its_nodes(tmp_path: Path, known: KnownChain) -> None:
    nodes = {"rpc_url": ["http://a", "http://b"], "agree": AGREE_UNPROVEN_MIN}
    chain = chain_of(tmp_path, known.chain_id, **nodes)
    assert (chain.confirmation, chain.verify) == (known.rule, known.verify)
    if isinstance(known.rule, Depth):
        assert chain.blocks_remembered > known.rule.blocks
    assert chain.cautions == ()


def test_what_takes_hours_by_nature_is_no_alarm(tmp_path: Path) -> None:
    nodes = {"rpc_url": ["http://a", "http://b"], "agree": 2}
    assert chain_of(tmp_path, 324, **nodes).finality_alarm_seconds == 86_400
    assert chain_of(tmp_path, 1).finality_alarm_seconds == 3_600


def test_what_is_said_comes_before_what_is_known(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, 1, confirmation={"depth": 12}, verify="all")
    assert (chain.confirmation, chain.verify) == (Depth(12), "all")
    chain = chain_of(tmp_path, 137, confirmation="finalized", verify="found")
    assert (chain.confirmation, chain.verify) == (Finalized(), "found")


@pytest.mark.parametrize(
    ("chain_id", "settings", "fragment"),
    [
        (1, {"confirmation": {"depth": 95}}, "95 is less than the 96 blocks known to be careful"),
        (61, {"confirmation": {"depth": 9_999}}, "9999 is less than the 10000 blocks"),
        (
            324,
            {"confirmation": {"depth": 9_000}, "rpc_url": ["http://a", "http://b"], "agree": 2},
            "no depth is known to be as careful as zksync's own finality",
        ),
        (1, {"verify": "found"}, "an event that a node leaves out of its answer is not noticed"),
        (
            31337,
            {
                "confirmation": {"depth": 9},
                "verify": "off",
                "rpc_url": ["http://a", "http://b"],
                "agree": 2,
            },
            "an event that a node leaves out",
        ),
    ],
)
def test_what_is_less_careful_than_what_is_known_is_allowed_and_told(
    tmp_path: Path, chain_id: int, settings: dict[str, object], fragment: str
) -> None:
    (caution,) = chain_of(tmp_path, chain_id, **settings).cautions
    assert fragment in caution


def test_nothing_is_told_of_what_is_as_careful_as_what_is_known(tmp_path: Path) -> None:
    assert chain_of(tmp_path, 1, confirmation={"depth": 96}).cautions == ()
    assert chain_of(tmp_path, 31337, confirmation={"depth": 1}).cautions == ()


@pytest.mark.parametrize(
    ("chain_id", "settings", "place", "fragment"),
    [
        (31337, {}, "confirmation", "is missing: write confirmation = "),
        (
            61,
            {"confirmation": "finalized"},
            "confirmation",
            "has no finality, and its nodes no such block. Write confirmation = { depth = 10000 }",
        ),
        (1, {"verify": "most"}, "verify", '(got "most")'),
        (1, {"verify": 1}, "verify", "in quotes (got 1)"),
        (1, {"verify": "off"}, "agree", 'must be 2 at least, as verify is "off"'),
        (324, {}, "agree", "must be 2 at least, as blocks of zksync do not recompute"),
        (
            324,
            {"rpc_url": ["http://a", "http://b"]},
            "agree",
            "two nodes of different operators must say the same",
        ),
    ],
)
def test_what_cannot_be_of_a_chain_is_a_mistake(
    tmp_path: Path, chain_id: int, settings: dict[str, object], place: str, fragment: str
) -> None:
    (mistake,) = mistakes_of(tmp_path, document_of(chain_id, **settings))
    assert mistake.place == f"chains[0].{place}"
    assert fragment in mistake.message


def test_the_table_is_printed_for_people_and_for_scripts() -> None:
    said = creditd("chains")
    assert said.code == 0
    assert "ethereum-classic" in said.out
    rows = json.loads(creditd("chains", "--json").out)
    assert {row["chain_id"]: row["rule"] for row in rows}[1] == "finalized"
    assert {row["chain_id"]: row["rule"] for row in rows}[61] == "{ depth = 10000 }"
    assert len(rows) == len(KNOWN_CHAINS)
