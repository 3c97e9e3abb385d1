"""The events that a source follows, as the configuration names or declares them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from contracts.events import Decoded, EventType, Parameter
from contracts.logs import WORD_LENGTH
from contracts.presets import PRESETS, Role
from daemon.configuration.addresses import CHECKSUM_WANTED, fails_checksum
from daemon.configuration.mistakes import nearest, shown
from daemon.configuration.produced import BLOCK_PRODUCER
from daemon.configuration.toml_reader import Table

# A block number must fit a bigint.
BLOCK_MAX: Final = 2**63 - 1
# Versions of a contract's events, over the years: more is a mistake.
EVENTS_MAX: Final = 20

# Stands in for an event that is missing or wrong until all mistakes are told.
_NO_EVENT: Final = EventType.parse(
    "Nothing(address wallet,uint256 amount)", name="", wallet="wallet", amount="amount"
)
_EVENT_WANTED: Final = (
    'an event\'s name such as "staking-rewards.Staked", or its declaration:'
    ' { signature = "Paid(address indexed to,uint256 sum)", wallet = "to", amount = "sum" }'
)
_WHAT_WANTED: Final = (
    'what it is about: preset = "staking-rewards" (or another), event = … for an event that earns,'
    " or stakes = { adds = […], takes = […] } for events that change what is staked"
)
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)
_WORD_END: Final = 2 ** (8 * WORD_LENGTH)


@dataclass(frozen=True, slots=True)
class FollowedEvent:
    """An event of a source, and what it does to its wallet: see `contracts.presets.Role`.

    Of it only those logs count whose fields are as `where` says, in the blocks from `from_block`
    to `to_block`, both included, or without an end.
    """

    event: EventType
    role: Role = "earns"
    where: tuple[tuple[str, int | bytes], ...] = ()
    from_block: int = 0
    to_block: int | None = None

    @property
    def text(self) -> str:
        """What it is, as the books keep it."""
        conditions = [f"{name}={_written(value)}" for name, value in self.where]
        begins = [f"from {self.from_block}"] if self.from_block else []
        role = [] if self.role == "earns" else [self.role]
        return " ".join((*role, self.event.name, *conditions, *begins))

    def covers(self, number: int) -> bool:
        """Return whether it is followed in a block."""
        return self.from_block <= number and (self.to_block is None or number <= self.to_block)

    def wants(self, decoded: Decoded) -> bool:
        """Return whether an event is one of those it is about.

        Nobody earns by what he sends to himself, and nobody has the zero address: a token that is
        made comes from there.
        """
        if not any(decoded.wallet) or any(value == decoded.wallet for _, value in self.where):
            return False
        return all(decoded.fields[name] == value for name, value in self.where)

    def clashes(self, other: "FollowedEvent") -> bool:
        """Return whether one log could be both, and do the same thing twice."""
        is_same = (self.event.topic0, self.role) == (other.event.topic0, other.role)
        mine = dict(self.where)
        are_apart = any(mine.get(name, value) != value for name, value in other.where)
        return is_same and not are_apart


def wanted(read: Iterable[tuple[FollowedEvent, Decoded]]) -> list[tuple[FollowedEvent, Decoded]]:
    """Return what a log is to a source, of all that it decodes as.

    That is nothing, where it is what somebody sends to himself: it changes nothing.
    """
    found = [(form, said) for form, said in read if form.wants(said)]
    return [] if len(found) > 1 and len({said.wallet for _, said in found}) == 1 else found


def read_followed(table: Table, events: Mapping[str, EventType]) -> tuple[FollowedEvent, ...]:
    """Return what a source follows: a preset, an event that earns, or events that change stakes.

    Named events are those of `events`; `where` narrows all that have the field.
    """
    given = [key for key in ("preset", "event", "stakes") if table.value(key) is not None]
    if len(given) != 1:
        if given:
            table.mistake(given[1], f"says again what {given[0]} says: keep one of them")
        else:
            table.missing("event", _WHAT_WANTED)
        return (FollowedEvent(_NO_EVENT),)
    match given[0]:
        case "preset":
            found = _preset(table)
        case "stakes":
            found = _stakes(table, events)
        case _:
            found = _listed(table, "event", "earns", events)
    narrowed = _narrowed(table, found)
    for one, other in combinations(narrowed, 2):
        if one.clashes(other) and one.event.topic_count == other.event.topic_count:
            table.mistake(given[0], f"has {one.event.signature} twice: one log would count twice")
            break
    return narrowed


def _preset(table: Table) -> tuple[FollowedEvent, ...]:
    name = table.text("preset", wanted='a preset such as "staking-rewards"')
    preset = PRESETS.get(name)
    if preset is None:
        if name:
            table.mistake(
                "preset", f"{shown(name)} is no preset: {nearest(name, (*PRESETS, BLOCK_PRODUCER))}"
            )
        return (FollowedEvent(_NO_EVENT),)
    where = table.value("where")
    lacking = [
        field for field in preset.narrowed_by if not (isinstance(where, dict) and field in where)
    ]
    if lacking:
        table.mistake("where", f"is missing {lacking[0]}: {name} is about one of them only")
    return tuple(FollowedEvent(event, role) for event, role in preset.parts)


def _stakes(table: Table, events: Mapping[str, EventType]) -> tuple[FollowedEvent, ...]:
    parts = table.table("stakes", wanted="a table such as { adds = […], takes = […] }")
    for key in ("adds", "takes"):
        if parts.value(key) is None:
            parts.missing(key, f"{_EVENT_WANTED}, or a list of such")
    found = (
        *(_listed(parts, "adds", "adds", events) if parts.value("adds") is not None else ()),
        *(_listed(parts, "takes", "takes", events) if parts.value("takes") is not None else ()),
    )
    parts.refuse_unknown()
    return found or (FollowedEvent(_NO_EVENT),)


def _listed(
    table: Table, key: str, role: Role, events: Mapping[str, EventType]
) -> tuple[FollowedEvent, ...]:
    """Return the events under a key: one, or a list of versions."""
    value = table.value(key)
    if not isinstance(value, list):
        return (_one(table, key, role, events),)
    if not 1 <= len(value) <= EVENTS_MAX:
        table.mistake(key, f"must be 1 to {EVENTS_MAX} events (got {len(value)})")
        return (FollowedEvent(_NO_EVENT),)
    items = table.array(key)
    return tuple(_one(items, index, role, events) for index in range(len(value)))


def _one(
    table: Table, key: str | int, role: Role, events: Mapping[str, EventType]
) -> FollowedEvent:
    value = table.value(key)
    if not isinstance(value, dict):
        return FollowedEvent(_named(table, key, events), role)
    parts = table.table(key, wanted=_EVENT_WANTED)
    event = _named(parts, "name", events) if parts.value("name") is not None else _declared(parts)
    followed = FollowedEvent(
        event,
        role,
        from_block=parts.integer("from_block", at_least=0, at_most=BLOCK_MAX, default=0),
        to_block=parts.optional_integer("to_block", at_least=0, at_most=BLOCK_MAX),
    )
    parts.refuse_unknown()
    return followed


def _named(table: Table, key: str | int, events: Mapping[str, EventType]) -> EventType:
    name = table.text(key, wanted=_EVENT_WANTED)
    if name and name not in events:
        table.mistake(key, f"{shown(name)} is no known event: {nearest(name, events)}")
    return events.get(name, _NO_EVENT)


def _declared(parts: Table) -> EventType:
    texts = {
        "signature": 'a signature such as "Paid(address indexed to,uint256 sum)"',
        "wallet": 'the name of the parameter that says who, such as "to"',
        "amount": 'the name of the parameter that says how much, such as "sum"',
    }
    said = {key: parts.text(key, wanted=wanted) for key, wanted in texts.items()}
    if not all(said.values()):
        return _NO_EVENT
    signature = " ".join(said["signature"].split())
    name = f"{signature} wallet={said['wallet']} amount={said['amount']}"
    try:
        return EventType.parse(signature, name=name, wallet=said["wallet"], amount=said["amount"])
    except ValueError as error:
        parts.mistake("signature", str(error).removeprefix(f"{name}: "))
        return _NO_EVENT


def _narrowed(table: Table, followed: Sequence[FollowedEvent]) -> tuple[FollowedEvent, ...]:
    """Return the events with what their fields must be, such as a pool's number."""
    conditions = table.table("where", wanted="a table such as { pid = 3 }")
    known = {
        field.name: field
        for each in followed
        for field in each.event.parameters
        if field.read is not None
    }
    where: dict[str, int | bytes] = {}
    for name in conditions.keys() if all(each.event is not _NO_EVENT for each in followed) else ():
        value = conditions.value(name)
        if name not in known:
            conditions.mistake(name, f"is no field of the event: {nearest(name, known)}")
            continue
        parameter = known[name]
        found = _found(value, parameter)
        if found is None:
            conditions.mistake(name, f"must be {parameter.abi_type} (got {shown(value)})")
        elif parameter.abi_type == "address" and fails_checksum(str(value)):
            conditions.mistake(name, CHECKSUM_WANTED)
        else:
            where[name] = found
    return tuple(replace(each, where=_of_its_fields(each.event, where)) for each in followed)


def _of_its_fields(
    event: EventType, where: Mapping[str, int | bytes]
) -> tuple[tuple[str, int | bytes], ...]:
    fields = {parameter.name for parameter in event.parameters}
    return tuple(sorted((name, value) for name, value in where.items() if name in fields))


def _written(value: int | bytes) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _found(value: object, parameter: Parameter) -> int | bytes | None:
    """Return a value as a log may have it in the parameter's word, None for any other."""
    word = b""
    if isinstance(value, int) and abs(value) < _WORD_END:  # true and false are 1 and 0
        word = (value % _WORD_END).to_bytes(WORD_LENGTH)
    elif isinstance(value, str) and _HEX.fullmatch(value):
        given = bytes.fromhex(value[2:])
        word = given.rjust(WORD_LENGTH, b"\0") if parameter.abi_type == "address" else given
    found = parameter.read(word) if parameter.read and len(word) == WORD_LENGTH else None
    return found if _is_same(value, found) else None


def _is_same(value: object, found: int | bytes | None) -> bool:
    """Return whether what a word is read as is what was written, and of its kind."""
    if isinstance(found, bytes):
        return isinstance(value, str) and value.lower() == f"0x{found.hex()}"
    return found == value
