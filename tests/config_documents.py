"""Configurations for tests: a small right one as nested dicts, and TOML text from such dicts."""

import copy
import json
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

import pytest

from contracts import catalogue
from daemon.configuration.config import Config, ConfigError, Mistake, load_config

_NAMES: Final = ("eip918.Mint", "staking-rewards.RewardPaid", "staking-rewards.Staked")
EVENTS: Final = {name: catalogue.EVENTS[name] for name in _NAMES}
ABSENT: Final = object()
CHAIN: Final = ("chains", 0)
SOURCE: Final = (*CHAIN, "sources", 0)
RULE: Final = (*SOURCE, "rule")

_RIGHT: Final[dict[str, Any]] = {
    "database": {"url": "postgresql://books:pa55@db.example:5432/creditd", "data_dir": "data"},
    "api": {"host": "127.0.0.1", "port": 8402, "lanes": 1, "queue_max": 4096, "prices": "p.toml"},
    "chains": [
        {
            "name": "local",
            "chain_id": 31337,
            "rpc_url": "http://127.0.0.1:8545",
            "confirmation": {"depth": 12},
            "on_deep_reorg": "reverse",
            "poll_ms": 2000,
            "span_max": 500,
            "blocks_remembered": 10000,
            "sources": [
                {
                    "name": "stakes",
                    "contract": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
                    "event": "staking-rewards.Staked",
                    "from_block": 10,
                    "to_block": 99,
                    "rule": {
                        "credits": "10",
                        "per": "1",
                        "decimals": 18,
                        "max_per_event": "100",
                        "max_per_account": "1000",
                        "max_per_account_day": "500",
                        "expires_days": 365,
                    },
                },
                {
                    "name": "mining",
                    "contract": "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
                    "event": "eip918.Mint",
                    "from_block": 0,
                    "rule": {"credits": "0.5", "per": "50", "decimals": 6},
                },
            ],
        },
        {
            "name": "other",
            "chain_id": 1,
            "rpc_url": "https://node.example/v1/k3y",
            "confirmation": "finalized",
            "sources": [
                {
                    "name": "rewards",
                    "contract": "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
                    "event": "staking-rewards.RewardPaid",
                    "from_block": 0,
                    "rule": {"credits": "1", "per": "0.5", "decimals": 18},
                }
            ],
        },
    ],
}


def document(changes: Mapping[tuple[str | int, ...], object] | None = None) -> dict[str, Any]:
    """Return the right configuration with the values at some places replaced, or ABSENT."""
    changed = copy.deepcopy(_RIGHT)
    for place, value in (changes or {}).items():
        node: Any = changed
        for step in place[:-1]:
            node = node[step]
        if value is ABSENT:
            del node[place[-1]]
        else:
            node[place[-1]] = value
    return changed


def places(node: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return every place in a document but its root."""
    if isinstance(node, dict):
        children: list[tuple[str | int, object]] = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    else:
        children = []
    return [
        found
        for step, child in children
        for found in ((*place, step), *places(child, (*place, step)))
    ]


def toml(values: Mapping[str, object]) -> str:
    """Return a document as TOML, each top-level key on a line of its own."""
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in values.items())


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    """Load a configuration from its text; ConfigError names it creditd.toml in `folder`."""
    path = folder / "creditd.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ or {}, events=EVENTS)


def mistakes_of(folder: Path, values: Mapping[str, object]) -> tuple[Mistake, ...]:
    """Return what is wrong with a document that must not load."""
    with pytest.raises(ConfigError) as caught:
        load(folder, toml(values))
    return caught.value.mistakes


def _value(value: object) -> str:
    match value:
        case bool():
            text = "true" if value else "false"
        case int():
            # Beyond 4,300 digits only Python's hexadecimal is unlimited.
            text = repr(value) if value.bit_length() <= 256 else hex(value)
        case float():
            text = repr(value)
        case str():
            text = _text(value)
        case list():
            text = f"[{', '.join(_value(item) for item in value)}]"
        case dict():
            text = f"{{{', '.join(f'{_text(k)} = {_value(v)}' for k, v in value.items())}}}"
        case datetime() | date() | time():
            text = value.isoformat()
        case _:
            raise TypeError(f"TOML has no {type(value).__name__}")
    return text


def _text(text: str) -> str:
    # JSON's escapes are TOML's too, but TOML wants one for DEL as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
