"""The sources of a chain in the configuration: which contract event earns, and by what rule."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from contracts.catalogue import MINING_EVENTS
from contracts.events import EventType
from contracts.logs import ADDRESS_LENGTH
from daemon.configuration.addresses import read_accounts
from daemon.configuration.followed_events import BLOCK_MAX, FollowedEvent, read_followed
from daemon.configuration.mistakes import shown
from daemon.configuration.produced import BLOCK_PRODUCER, DECIMALS, Produced, read_produced
from daemon.configuration.rule_reader import read_rule
from daemon.configuration.rules import Rule
from daemon.configuration.toml_reader import Table
from ledger.granting import PRIORITY_MAX, PRIORITY_USUAL

OnReversal = Literal["debt", "absorb", "freeze"]
Kind = Literal["mining", "staking"]  # what credits are earned by

# A contract for each of a family of vaults: more is a mistake.
CONTRACTS_MAX: Final = 100
# Names are written into the books and onto pages.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
NAME_WANTED: Final = 'a name of at most 64 of a-z 0-9 . _ -, such as "vault-stakes"'

# What may burn restricted credits: more names than a price list has operations are a mistake.
OPERATIONS_MAX: Final = 100
OPERATION_LENGTH_MAX: Final = 100  # the books allow no more

# The settings that say what earns.
_SAYS_WHAT: Final = (
    *("contract", "event", "stakes", "preset", "where", "reward", "addresses"),
    *("from_block", "to_block"),
)
_TOTAL: Final = re.compile(r"[A-Za-z_$][\w$]{0,63}\(\)", re.ASCII)
_TOTAL_WANTED: Final = 'a function without arguments such as "totalSupply()"'
_BALANCE: Final = re.compile(r"[A-Za-z_$][\w$]{0,63}\(address\)", re.ASCII)
_BALANCE_WANTED: Final = 'a function of one address such as "balanceOf(address)"'


@dataclass(frozen=True, slots=True)
class Source:
    """What earns, in the blocks `from_block`..`to_block`, both included.

    It is events of contracts, whose 20 bytes are `contracts`, or, with `produced`, what the
    protocol gives: then there are neither. `to_block` is None while the source has no end. What it
    grants is burned by `priority`, lower ones first, and only for `operations` (None: for all).
    `on_reversal` says what becomes of what was spent of it if its block leaves the chain: a debt
    of the account, which may be frozen until it is paid, or a loss that the operator absorbs.
    `total` is the function by which its contracts say how much is staked in all, if they do, and
    `balance` that by which they say it of one wallet.
    """

    name: str
    contracts: tuple[bytes, ...]
    events: tuple[FollowedEvent, ...]
    from_block: int
    to_block: int | None
    rule: Rule
    on_reversal: OnReversal = "debt"
    priority: int = PRIORITY_USUAL
    operations: tuple[str, ...] | None = None
    kind: Kind = "staking"
    total: str | None = None
    balance: str | None = None
    produced: Produced | None = None

    @property
    def contract(self) -> bytes:
        """Its first contract; the zero address for what the protocol gives."""
        return self.contracts[0] if self.contracts else bytes(ADDRESS_LENGTH)

    @property
    def followed(self) -> str:
        """What it follows, as the books keep it, a line for each event."""
        if self.produced is not None:
            return self.produced.text
        others = [f"0x{contract.hex()}" for contract in self.contracts[1:]]
        also = [f"also of {' '.join(others)}"] if others else []
        return "\n".join([*(each.text for each in self.events), *also])

    def covers(self, number: int) -> bool:
        """Return whether a block is one of those that earn."""
        return self.from_block <= number and (self.to_block is None or number <= self.to_block)


def read_source(table: Table, *, events: Mapping[str, EventType]) -> Source:
    """Return the source a table describes; named events are those of `events`."""
    produced = read_produced(table) if table.value("preset") == BLOCK_PRODUCER else None
    followed = () if produced else read_followed(table, events)
    earns_by_time = any(each.role != "earns" for each in followed)
    source = Source(
        name=read_name(table),
        contracts=() if produced else read_accounts(table, "contract", "a contract", CONTRACTS_MAX),
        events=followed,
        from_block=table.integer("from_block", at_least=0, at_most=BLOCK_MAX),
        to_block=table.optional_integer("to_block", at_least=0, at_most=BLOCK_MAX),
        rule=read_rule(
            table.table("rule", wanted='a table such as { credits = "10", … }', required=True),
            earns_by_time=earns_by_time,
            decimals=DECIMALS[produced.reward] if produced else None,
        ),
        on_reversal=_read_on_reversal(table),
        priority=table.integer(
            "priority", at_least=0, at_most=PRIORITY_MAX, default=PRIORITY_USUAL
        ),
        operations=_read_operations(table),
        kind=_read_kind(table, followed, produced),
        total=_read_function(table, "total", _TOTAL, _TOTAL_WANTED) if earns_by_time else None,
        balance=_read_function(table, "balance", _BALANCE, _BALANCE_WANTED)
        if earns_by_time
        else None,
        produced=produced,
    )
    if (
        source.to_block is not None
        and table.sound("from_block", "to_block")
        and source.to_block < source.from_block
    ):
        table.mistake("to_block", f"is before from_block ({source.from_block}): no block is both")
    table.refuse_unknown()
    return source


def read_name(table: Table) -> str:
    """Return the table's `name`."""
    name = table.text("name", wanted=NAME_WANTED)
    if name and NAME.fullmatch(name) is None:
        table.mistake("name", f"must be {NAME_WANTED} (got {shown(name)})")
    return name


def refuse_double_pay(read: Sequence[tuple[Table, Source]]) -> None:
    """Note the sources of one chain that would earn twice from the same event of a block."""
    claims: dict[bytes, list[tuple[Table, Source]]] = defaultdict(list)
    for table, source in read:
        if table.sound(*_SAYS_WHAT):
            for contract in source.contracts or (source.contract,):
                claims[contract].append((table, source))
    for rivals in claims.values():
        rivals.sort(key=lambda rival: rival[1].from_block)
        for (earlier_table, earlier), (table, source) in combinations(rivals, 2):
            is_over = earlier.to_block is not None and earlier.to_block < source.from_block
            if not is_over and _clash(earlier, source) and table.sound("from_block"):
                what = "reward" if source.produced else "event of the same contract"
                table.mistake(
                    "from_block",
                    f"overlaps {earlier_table.place('from_block')}, which follows the same"
                    f" {what}: each {what.partition(' ')[0]} would earn twice."
                    " End one with to_block before the other begins, or remove one",
                )


def _clash(one: Source, other: Source) -> bool:
    if one.produced is not None and other.produced is not None:
        return one.produced.clashes(other.produced)
    return any(each.clashes(rival) for each in one.events for rival in other.events)


def _read_function(table: Table, key: str, form: re.Pattern[str], wanted: str) -> str | None:
    """Return the function under a key, by which contracts say what is staked."""
    if table.value(key) is None:
        return None
    text = table.text(key, wanted=wanted)
    if text and form.fullmatch(text) is None:
        table.mistake(key, f"must be {wanted} (got {shown(text)})")
    return text


def _read_on_reversal(table: Table) -> OnReversal:
    wanted = (
        '"debt" (the account owes what was spent), "freeze" (and spends nothing until it is paid)'
        ' or "absorb" (you bear it)'
    )
    match table.text("on_reversal", wanted=wanted, default="debt"):
        case "debt" | "":
            return "debt"
        case "freeze":
            return "freeze"
        case "absorb":
            return "absorb"
        case other:
            table.mistake("on_reversal", f"must be {wanted} (got {shown(other)})")
            return "debt"


def _read_kind(table: Table, followed: Sequence[FollowedEvent], produced: Produced | None) -> Kind:
    wanted = '"mining" (credits for work) or "staking"'
    if produced is not None:
        is_mining = produced.reward != "withdrawal"
    else:
        is_mining = all(each.event.name in MINING_EVENTS for each in followed)
    usual = "mining" if is_mining else "staking"
    choice = table.text("kind", wanted=wanted, default=usual)
    if choice == "mining":
        return "mining"
    if choice not in ("staking", ""):
        table.mistake("kind", f"must be {wanted} (got {shown(choice)})")
    return "staking"


def _read_operations(table: Table) -> tuple[str, ...] | None:
    wanted = f'a list of 1 to {OPERATIONS_MAX} operations such as ["chat", "images"]'
    value = table.value("operations")
    if value is None:
        return None
    names = value if isinstance(value, list) else []
    if (
        not 1 <= len(names) <= OPERATIONS_MAX
        or not all(isinstance(name, str) for name in names)
        or not all(1 <= len(name) <= OPERATION_LENGTH_MAX for name in names)
    ):
        table.mistake("operations", f"must be {wanted} (got {shown(value)})")
        return None
    return tuple(sorted(set(names)))
