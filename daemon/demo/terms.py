"""What the demo's chain earns and what its app costs, as figures and as the files creditd reads."""

from decimal import Decimal
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

CHAIN: Final = "demo"
TOKEN: Final = 10**18  # base units of one token: both tokens have 18 decimals
CONFIRMATIONS: Final = 5

STAKES: Final = "stakes"
MINING: Final = "mining"
EVENTS_OF: Final = MappingProxyType(
    {STAKES: "staking-rewards.Staked", MINING: "eip918.Mint"},
)
# Credits for one whole token of each source's event.
CREDITS_PER_TOKEN: Final = MappingProxyType({STAKES: Decimal(10), MINING: Decimal("0.2")})

THUMBNAIL: Final = "thumbnail"
REPORT: Final = "report"
PRICES: Final = MappingProxyType({THUMBNAIL: Decimal(2), REPORT: Decimal(8)})

_CONFIG: Final = Template("""\
[api]
host = "127.0.0.1"
port = $api_port
prices = "prices.toml"

[[chains]]
name = "$chain"
chain_id = $chain_id
rpc_url = "$rpc_url"
confirmation = { depth = $confirmations }
poll_ms = 200

[[chains.sources]]
name = "$stakes"
contract = "0x$staking"
event = "$staked"
from_block = $from_block

[chains.sources.rule]
credits = "$credits_per_stake"
per = "1"
decimals = 18
# Who stakes, withdraws and stakes again earns each time: these bound what one account can get.
max_per_event = "1000"
max_per_account_day = "100000"
max_per_account = "1000000"

[[chains.sources]]
name = "$mining"
contract = "0x$mineable"
event = "$mint"
from_block = $from_block

[chains.sources.rule]
credits = "$credits_per_mined"
per = "1"
decimals = 18
max_per_event = "1000"
""")


def expected_credits(source: str, amount: int) -> Decimal:
    """Return what an event of `amount` base units should earn; exact for the demo's amounts."""
    return Decimal(amount) / TOKEN * CREDITS_PER_TOKEN[source]


def write_terms(
    folder: Path,
    *,
    api_port: int,
    chain_id: int,
    rpc_url: str,
    staking: bytes,
    mineable: bytes,
    from_block: int,
) -> Path:
    """Write creditd.toml and prices.toml into the folder and return the first's path."""
    config = folder / "creditd.toml"
    config.write_text(
        _CONFIG.substitute(
            api_port=api_port,
            chain=CHAIN,
            chain_id=chain_id,
            rpc_url=rpc_url,
            confirmations=CONFIRMATIONS,
            stakes=STAKES,
            staking=staking.hex(),
            staked=EVENTS_OF[STAKES],
            credits_per_stake=CREDITS_PER_TOKEN[STAKES],
            mining=MINING,
            mineable=mineable.hex(),
            mint=EVENTS_OF[MINING],
            credits_per_mined=CREDITS_PER_TOKEN[MINING],
            from_block=from_block,
        ),
        encoding="utf-8",
    )
    prices_path(config).write_text(
        "".join(f'[operations.{name}]\nbase = "{price}"\n' for name, price in PRICES.items()),
        encoding="utf-8",
    )
    return config


def prices_path(config: Path) -> Path:
    """Return where the prices of a configuration are written."""
    return config.with_name("prices.toml")
