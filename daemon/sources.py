"""The sources of a chain in the configuration: which contract event earns, and by what rule."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final, Literal

from contracts.catalogue import MINING_EVENTS
from contracts.events import Decoded, EventType
from daemon.addresses import CHECKSUM_WANTED, fails_checksum
from daemon.followed_events import read_event, read_where
from daemon.mistakes import shown
from daemon.rules import GRANT_MAX_MICRO, Rule
from daemon.toml_reader import Table
from ledger.credits import MICRO_MAX, format_credits, parse_credits
from ledger.granting import PRIORITY_MAX, PRIORITY_USUAL

OnReversal = Literal["debt", "absorb", "freeze"]
Kind = Literal["mining", "staking"]  # what credits are earned by

# A block number must fit a bigint.
BLOCK_MAX: Final = 2**63 - 1
# 10^78 base units, one whole token of 78 decimals, would not fit a uint256.
DECIMALS_MAX: Final = 77
# A century: what lives longer should say that it never expires.
EXPIRES_DAYS_MAX: Final = 36_500
# Names are written into the books and onto pages.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
NAME_WANTED: Final = 'a name of at most 64 of a-z 0-9 . _ -, such as "vault-stakes"'

# What may burn restricted credits: more names than a price list has operations are a mistake.
OPERATIONS_MAX: Final = 100
OPERATION_LENGTH_MAX: Final = 100  # the books allow no more

_CONTRACT: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CONTRACT_WANTED: Final = "a contract's address, 0x and 40 hexadecimal digits"
_TOKENS: Final = re.compile(r"(0|[1-9][0-9]{0,77})(?:\.([0-9]{1,77}))?", re.ASCII)
_TOKENS_WANTED: Final = 'a decimal string of tokens such as "1" or "0.5"'
_UINT256_MAX: Final = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Source:
    """A contract event that earns, in the blocks `from_block`..`to_block`, both included.

    `contract` is the emitter's 20 bytes; `to_block` is None while the source has no end. Of its
    events only those count whose fields are as `where` says. What it
    grants is burned by `priority`, lower ones first, and only for `operations` (None: for all).
    `on_reversal` says what becomes of what was spent of it if its block leaves the chain: a debt
    of the account, which may be frozen until it is paid, or a loss that the operator absorbs.
    """

    name: str
    contract: bytes
    event: EventType
    from_block: int
    to_block: int | None
    rule: Rule
    on_reversal: OnReversal = "debt"
    priority: int = PRIORITY_USUAL
    operations: tuple[str, ...] | None = None
    where: tuple[tuple[str, int | bytes], ...] = ()
    kind: Kind = "staking"

    @property
    def followed(self) -> str:
        """What it follows of its contract, as the books keep it: that never changes."""
        conditions = [f"{name}={_written(value)}" for name, value in self.where]
        return " ".join((self.event.name, *conditions))

    def covers(self, number: int) -> bool:
        """Return whether a block is one of those that earn."""
        return self.from_block <= number and (self.to_block is None or number <= self.to_block)

    def wants(self, decoded: Decoded) -> bool:
        """Return whether an event is one of those it is about.

        Nobody earns by what he sends to himself, and nobody has the zero address: a token that is
        made comes from there.
        """
        if not any(decoded.wallet) or any(value == decoded.wallet for _, value in self.where):
            return False
        return all(decoded.fields[name] == value for name, value in self.where)


def read_source(table: Table, *, events: Mapping[str, EventType]) -> Source:
    """Return the source a table describes; its event is one of `events`, or declared there."""
    event = read_event(table, events)
    source = Source(
        name=read_name(table),
        contract=_read_contract(table),
        event=event,
        where=read_where(table, event),
        from_block=table.integer("from_block", at_least=0, at_most=BLOCK_MAX),
        to_block=table.optional_integer("to_block", at_least=0, at_most=BLOCK_MAX),
        rule=_read_rule(
            table.table("rule", wanted='a table such as { credits = "10", … }', required=True)
        ),
        on_reversal=_read_on_reversal(table),
        priority=table.integer(
            "priority", at_least=0, at_most=PRIORITY_MAX, default=PRIORITY_USUAL
        ),
        operations=_read_operations(table),
        kind=_read_kind(table, event),
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
    claims: dict[tuple[bytes, bytes], list[tuple[Table, Source]]] = defaultdict(list)
    for table, source in read:
        if table.sound("contract", "event", "where", "from_block", "to_block"):
            claims[source.contract, source.event.topic0].append((table, source))
    for rivals in claims.values():
        rivals.sort(key=lambda rival: rival[1].from_block)
        for (earlier_table, earlier), (table, source) in combinations(rivals, 2):
            is_over = earlier.to_block is not None and earlier.to_block < source.from_block
            if not is_over and not _are_apart(earlier, source) and table.sound("from_block"):
                table.mistake(
                    "from_block",
                    f"overlaps {earlier_table.place('from_block')}, which follows the same event"
                    " of the same contract: each event would earn twice."
                    " End one with to_block before the other begins, or remove one",
                )


def _are_apart(one: Source, other: Source) -> bool:
    """Return whether no event can be of both, as they want different values of a field."""
    wanted = dict(one.where)
    return any(wanted.get(name, value) != value for name, value in other.where)


def _written(value: int | bytes) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _read_contract(table: Table) -> bytes:
    text = table.text("contract", wanted=_CONTRACT_WANTED)
    if not text:
        return b""
    if _CONTRACT.fullmatch(text) is None:
        table.mistake("contract", f"must be {_CONTRACT_WANTED} (got {len(text)} characters)")
        return b""
    digits = text.removeprefix("0x")
    contract = bytes.fromhex(digits)
    if not any(contract):
        table.mistake("contract", "is the zero address, where no contract lives")
    if fails_checksum(text):
        table.mistake("contract", CHECKSUM_WANTED)
    return contract


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


def _read_kind(table: Table, event: EventType) -> Kind:
    wanted = '"mining" (credits for work) or "staking"'
    usual = "mining" if event.name in MINING_EVENTS else "staking"
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


def _read_rule(table: Table) -> Rule:
    decimals = table.integer("decimals", at_least=0, at_most=DECIMALS_MAX)
    rule = Rule(
        credits_micro=_read_credits(table, "credits", GRANT_MAX_MICRO, required=True) or 1,
        per_base_units=_read_per(table, decimals) or 1,
        max_per_event_micro=_read_credits(table, "max_per_event", GRANT_MAX_MICRO),
        max_per_account_micro=_read_credits(table, "max_per_account", MICRO_MAX),
        max_per_account_day_micro=_read_credits(table, "max_per_account_day", MICRO_MAX),
        max_per_day_micro=_read_credits(table, "max_per_day", MICRO_MAX),
        max_in_all_micro=_read_credits(table, "max_in_all", MICRO_MAX),
        expires_days=table.optional_integer("expires_days", at_least=1, at_most=EXPIRES_DAYS_MAX),
    )
    if (
        table.sound("credits", "per", "decimals")
        and 10**decimals * rule.credits_micro < rule.per_base_units
    ):
        table.mistake(
            "per",
            "makes one whole token earn less than a millionth of a credit, which is rounded down"
            ' to nothing: raise credits or lower per (credits = "10", per = "1" is ten credits'
            " for each token)",
        )
    _check_caps(table, rule)
    table.refuse_unknown()
    return rule


def _read_per(table: Table, decimals: int) -> int | None:
    """Return how many base units `per` tokens are."""
    text = table.decimal("per", wanted=_TOKENS_WANTED)
    if text is None:
        if table.sound("per"):
            table.missing("per", _TOKENS_WANTED)
        return None
    match = _TOKENS.fullmatch(text)
    if match is None:
        table.mistake("per", f"must be {_TOKENS_WANTED} (got {shown(text)})")
        return None
    if not table.sound("decimals"):
        return None
    whole, part = match[1], (match[2] or "").rstrip("0")
    if len(part) > decimals:
        table.mistake("per", f"has {len(part)} decimals, but the token has {decimals}")
        return None
    base_units = int(whole + part.ljust(decimals, "0"))
    if not 1 <= base_units <= _UINT256_MAX:
        table.mistake(
            "per", f"must be more than 0 and at most 2^256 base units (got {shown(text)})"
        )
        return None
    return base_units


def _read_credits(table: Table, key: str, micro_max: int, *, required: bool = False) -> int | None:
    """Return micro-credits of at least 1, None if the key is missing or wrong."""
    wanted = 'a decimal string such as "0.5"'
    text = table.decimal(key, wanted=wanted)
    if text is None:
        if required and table.sound(key):
            table.missing(key, wanted)
        return None
    try:
        micro = parse_credits(text)
    except ValueError:
        micro = None
    if micro is None or not 1 <= micro <= micro_max:
        table.mistake(
            key,
            f"must be {wanted}: digits, at most six of them after the point, no sign,"
            f" more than 0 and at most {format_credits(micro_max)} (got {shown(text)})",
        )
        return None
    return micro


def _check_caps(table: Table, rule: Rule) -> None:
    if (
        table.sound("credits", "max_per_event")
        and rule.max_per_event_micro is not None
        and rule.max_per_event_micro < rule.credits_micro
    ):
        table.mistake(
            "max_per_event",
            f"is less than credits ({format_credits(rule.credits_micro)}), so that not even `per`"
            " tokens would earn what the rule says: raise it, or lower credits and per together",
        )
    for narrow_to_wide in (
        [
            ("max_per_event", rule.max_per_event_micro),
            ("max_per_account_day", rule.max_per_account_day_micro),
            ("max_per_account", rule.max_per_account_micro),
            ("max_in_all", rule.max_in_all_micro),
        ],
        [
            ("max_per_account_day", rule.max_per_account_day_micro),
            ("max_per_day", rule.max_per_day_micro),
            ("max_in_all", rule.max_in_all_micro),
        ],
    ):
        _check_order(table, narrow_to_wide)


def _check_order(table: Table, narrow_to_wide: Sequence[tuple[str, int | None]]) -> None:
    given = [(key, cap) for key, cap in narrow_to_wide if cap is not None and table.sound(key)]
    for (narrow, narrow_cap), (wide, wide_cap) in pairwise(given):
        if narrow_cap > wide_cap:
            table.mistake(
                narrow,
                f"is more than {wide} ({format_credits(wide_cap)}) and can never be reached:"
                " lower it or leave it out",
            )
