"""A chain in the configuration: its nodes, when its blocks count, how much of them is proven."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from contracts.events import EventType
from daemon.chain.known_chains import (
    FINALITY_ALARM_USUAL,
    VERIFY_USUAL,
    Confirmation,
    Depth,
    Finalized,
    KnownChain,
    Trust,
    Verify,
    is_verify,
    known_chain,
)
from daemon.configuration.addresses import read_rpc_urls, read_url
from daemon.configuration.mistakes import shown
from daemon.configuration.secret_url import SecretUrl
from daemon.configuration.sources import Source, read_name, read_source, refuse_double_pay
from daemon.configuration.toml_reader import Table
from daemon.configuration.waits import LongerWait, read_waits

# EIP-2294: what wallets can still sign for; it fits a bigint.
CHAIN_ID_MAX: Final = 2**63 - 37
# Exchanges waited 80,640 blocks for Ethereum Classic in its worst year: more is a typing error.
DEPTH_MAX: Final = 100_000
# Oftener only burdens the node; more seldom than every ten minutes looks like an outage.
POLL_MS_MIN: Final = 100
POLL_MS_MAX: Final = 600_000
# One step is one transaction: a larger one keeps its locks and its memory for too long.
SPAN_MAX: Final = 10_000
# Ethereum's finality lags by up to 96 blocks on an ordinary day, and reorgs happen above it.
BLOCKS_REMEMBERED_MIN: Final = 128
BLOCKS_REMEMBERED_MAX: Final = 1_000_000
BLOCKS_REMEMBERED_USUAL: Final = 10_000
# A watcher that leads a chain is heard of at every turn and every step. The slowest step, hundreds
# of full blocks from a slow node that needs every try, takes less than two minutes.
ALARM_SECONDS_MIN: Final = 120
ALARM_SECONDS_MAX: Final = 30_000_000  # nearly a year: as good as none
# No chain in the table takes a minute for a block, but for an hour every some years: a halt.
HEAD_ALARM_USUAL: Final = 600
# More than any node answers.
REQUESTS_PER_SECOND_MAX: Final = 100_000
# One node that agrees with itself proves nothing.
AGREE_UNPROVEN_MIN: Final = 2

_CONFIRMATION_WANTED: Final = (
    'confirmation = "finalized" where the chain has finality (Ethereum and its rollups, Polygon,'
    " BNB Chain, Gnosis), or confirmation = { depth = 12 } where it has none: the number of blocks"
    " on top after which you no longer expect a reorg (Ethereum Classic: 10000)"
)
_VERIFY_WANTED: Final = (
    '"all" (every receipt of every block is proven), "bloom" (those of blocks that may hold an'
    ' event), "found" (those of blocks where the node found one) or "off" (nothing is proven, and'
    " two nodes at least must agree)"
)


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, when its blocks count, and what earns on it.

    `rpc_urls` are its nodes, the preferred first; `agree` of them must show a block before it is
    confirmed. `span_max` and `blocks_remembered` are numbers of blocks: read in one step at most,
    and kept below the head to find where a reorg began. `verify` says how much is proven of what
    a node says. `requests_per_second` is what each of the first nodes is asked at most, None and
    what is missing: as much as there is. It is an alarm if nothing is read for
    `alarm_after_seconds`, or if the last confirmed block is `finality_alarm_seconds` older than the
    last one read, or if the head has been the same for `head_alarm_seconds` (None: no alarm).
    `wake_url` is a WebSocket that tells of new blocks: it shortens the wait for the
    next look, and nothing of it is believed. What earns more than one of `waits` says, which
    ascend, is granted only when so many blocks more are confirmed on top of it.
    """

    name: str
    chain_id: int
    rpc_urls: tuple[SecretUrl, ...]
    confirmation: Confirmation
    on_deep_reorg: Literal["halt", "reverse"]
    poll_ms: int
    span_max: int
    blocks_remembered: int
    sources: tuple[Source, ...]
    agree: int = 1
    verify: Verify = VERIFY_USUAL
    requests_per_second: tuple[int | None, ...] = ()
    alarm_after_seconds: int = 120
    finality_alarm_seconds: int = 3_600
    head_alarm_seconds: int | None = None
    wake_url: SecretUrl | None = None
    waits: tuple[LongerWait, ...] = ()

    @property
    def trust(self) -> Trust:
        """Return what is believed of a single header of the chain."""
        if self.verify == "off":
            return "word"
        if self.agree < AGREE_UNPROVEN_MIN:
            return "proof"
        known = known_chain(self.chain_id)
        return "agreement" if known is None or known.recomputes == "yes" else "word"

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return what is allowed here and yet less careful than what is known of the chain."""
        found: list[str] = []
        known = known_chain(self.chain_id)
        if known is not None and isinstance(self.confirmation, Depth):
            if known.depth is None:
                found.append(f"no depth is known to be as careful as {known.name}'s own finality")
            elif self.confirmation.blocks < known.depth:
                found.append(
                    f"a depth of {self.confirmation.blocks} is less than the {known.depth} blocks"
                    f" known to be careful on {known.name}: a reorg may take back what is granted"
                )
        if self.verify in ("found", "off") and (known is None or known.verify != self.verify):
            found.append(
                f'verify = "{self.verify}": an event that a node leaves out of its answer is not'
                " noticed"
            )
        found += [
            f"{source.name}: whoever owns a validator may take out what was staked in small parts,"
            " and they earn like rewards: name addresses, or bound them by max_per_account_day"
            for source in self.sources
            if source.produced is not None
            and source.produced.is_open
            and source.rule.max_per_account_day_micro is None
        ]
        return tuple(found)


def read_chain(
    table: Table, environ: Mapping[str, str], events: Mapping[str, EventType]
) -> tuple[Chain, list[tuple[Table, Source]]]:
    """Return the chain a table describes, and each of its sources with its own table.

    What is left out is as the table of known chains has it.
    """
    rpc_urls = read_rpc_urls(table, environ)
    sources = _read_sources(table, events)
    chain_id = table.integer("chain_id", at_least=1, at_most=CHAIN_ID_MAX)
    known = known_chain(chain_id) if table.sound("chain_id") else None
    confirmation = _read_confirmation(table, known)
    chain = Chain(
        name=read_name(table),
        chain_id=chain_id,
        rpc_urls=rpc_urls,
        agree=table.integer("agree", at_least=1, at_most=len(rpc_urls), default=1),
        confirmation=confirmation,
        on_deep_reorg=_read_on_deep_reorg(table),
        poll_ms=table.integer("poll_ms", at_least=POLL_MS_MIN, at_most=POLL_MS_MAX, default=2_000),
        span_max=table.integer("span_max", at_least=1, at_most=SPAN_MAX, default=500),
        blocks_remembered=table.integer(
            "blocks_remembered",
            at_least=BLOCKS_REMEMBERED_MIN,
            at_most=BLOCKS_REMEMBERED_MAX,
            default=_remembered(known, confirmation),
        ),
        sources=tuple(source for _, source in sources),
        verify=_read_verify(table, known),
        requests_per_second=_read_rates(table, len(rpc_urls)),
        wake_url=_read_wake_url(table, environ),
        waits=read_waits(table),
        alarm_after_seconds=table.integer(
            "alarm_after_seconds",
            at_least=ALARM_SECONDS_MIN,
            at_most=ALARM_SECONDS_MAX,
            default=120,
        ),
        finality_alarm_seconds=table.integer(
            "finality_alarm_seconds",
            at_least=ALARM_SECONDS_MIN,
            at_most=ALARM_SECONDS_MAX,
            default=_finality_alarm_seconds(known, confirmation),
        ),
        head_alarm_seconds=_read_head_alarm_seconds(table, known),
    )
    _check_reorg_rules(table, chain)
    _check_agreement(table, chain, known)
    table.refuse_unknown()
    return chain, sources


def _read_sources(chain: Table, events: Mapping[str, EventType]) -> list[tuple[Table, Source]]:
    tables = chain.tables("sources", wanted="one or more tables headed [[chains.sources]]")
    read = [(table, read_source(table, events=events)) for table in tables]
    refuse_double_pay(read)
    return read


def _read_confirmation(table: Table, known: KnownChain | None) -> Confirmation:
    value = table.value("confirmation")
    if value == "finalized":
        if known is not None and not known.has_finalized_tag:
            table.mistake(
                "confirmation",
                f'cannot be "finalized": {known.name} has no finality, and its nodes no such'
                f" block. Write confirmation = {{ depth = {known.depth} }}, or leave it out for"
                " the same",
            )
        return Finalized()
    if isinstance(value, dict):
        depth = table.table("confirmation", wanted=_CONFIRMATION_WANTED)
        confirmation = Depth(depth.integer("depth", at_least=1, at_most=DEPTH_MAX))
        depth.refuse_unknown()
        return confirmation
    if value is None and known is not None:
        return known.rule
    if value is None:
        table.missing("confirmation", _CONFIRMATION_WANTED)
    elif value in ("safe", "latest"):
        table.mistake(
            "confirmation",
            f"cannot be {shown(value)}: such blocks may still be reorganised away after their"
            f" credits are spent. Write {_CONFIRMATION_WANTED}",
        )
    else:
        table.mistake("confirmation", f"is {shown(value)}. Write {_CONFIRMATION_WANTED}")
    return Finalized()


def _remembered(known: KnownChain | None, confirmation: Confirmation) -> int:
    """Return how many blocks are remembered unless it is said: enough for a depth that is known."""
    if known is None or confirmation is not known.rule or not isinstance(confirmation, Depth):
        return BLOCKS_REMEMBERED_USUAL
    return max(BLOCKS_REMEMBERED_USUAL, 2 * confirmation.blocks)


def _finality_alarm_seconds(known: KnownChain | None, confirmation: Confirmation) -> int:
    match confirmation:
        case Finalized():
            return FINALITY_ALARM_USUAL if known is None else known.finality_alarm_seconds
        case Depth(blocks=depth):  # no chain that goes by depth takes a minute for a block
            return min(600 + 60 * depth, ALARM_SECONDS_MAX)


def _read_head_alarm_seconds(table: Table, known: KnownChain | None) -> int | None:
    """Return how long the head may be the same: a chain of one's own may mine when it likes."""
    found = table.optional_integer(
        "head_alarm_seconds", at_least=ALARM_SECONDS_MIN, at_most=ALARM_SECONDS_MAX
    )
    return HEAD_ALARM_USUAL if found is None and known is not None else found


def _read_on_deep_reorg(table: Table) -> Literal["halt", "reverse"]:
    wanted = '"halt" (grants stop until a person decides) or "reverse" (grants are taken back)'
    choice = table.text("on_deep_reorg", wanted=wanted, default="halt")
    if choice == "reverse":
        return "reverse"
    if choice not in ("halt", ""):
        table.mistake("on_deep_reorg", f"must be {wanted} (got {shown(choice)})")
    return "halt"


def _read_verify(table: Table, known: KnownChain | None) -> Verify:
    usual = VERIFY_USUAL if known is None else known.verify
    choice = table.text("verify", wanted=_VERIFY_WANTED, default=usual)
    if is_verify(choice):
        return choice
    if choice:
        table.mistake("verify", f"must be {_VERIFY_WANTED} (got {shown(choice)})")
    return usual


def _read_wake_url(table: Table, environ: Mapping[str, str]) -> SecretUrl | None:
    if table.value("wake_url") is None:
        return None
    return read_url(table, "wake_url", ("wss", "ws"), environ)


def _read_rates(table: Table, nodes: int) -> tuple[int | None, ...]:
    """Return how many calls a second each node takes: one number for all, or one for each."""
    value = table.value("requests_per_second")
    if value is None:
        return ()
    given = value if isinstance(value, list) else [value] * nodes
    rates = [each for each in given if type(each) is int and 0 <= each <= REQUESTS_PER_SECOND_MAX]
    if not len(rates) == len(given) == nodes:
        table.mistake(
            "requests_per_second",
            f"must be a whole number from 0 to {REQUESTS_PER_SECOND_MAX} for every node, or a list"
            f" of {nodes} of them, one for each under rpc_url; 0 is no limit (got {shown(value)})",
        )
        return ()
    return tuple(rate or None for rate in rates)


def _check_reorg_rules(table: Table, chain: Chain) -> None:
    match chain.confirmation:
        case Depth(blocks=depth):
            if (
                table.sound("confirmation", "blocks_remembered")
                and chain.blocks_remembered <= depth
            ):
                table.mistake(
                    "blocks_remembered",
                    f"is {chain.blocks_remembered}, but the confirmed block is {depth} below the"
                    f" head: write {depth + 1} at least, to find where a reorg above it began",
                )
        case Finalized():
            if table.sound("confirmation") and chain.on_deep_reorg == "reverse":
                table.mistake(
                    "on_deep_reorg",
                    'must be "halt" where confirmation is "finalized": a chain that goes back on'
                    " its finality, or a node that lies about it, is for a person to judge",
                )


def _check_agreement(table: Table, chain: Chain, known: KnownChain | None) -> None:
    """Note a chain of which nothing is proven, and where one node's word would be enough."""
    if chain.verify != "off" or chain.agree >= AGREE_UNPROVEN_MIN:
        return
    if not table.sound("verify", "agree", "rpc_url", "chain_id"):
        return
    by_itself = known is not None and known.verify == "off"
    why = f"blocks of {known.name} do not recompute" if by_itself and known else 'verify is "off"'
    table.mistake(
        "agree",
        f"must be {AGREE_UNPROVEN_MIN} at least, as {why}: nothing is proven then, so that two"
        " nodes of different operators must say the same. List them under rpc_url",
    )
