"""The event that a source follows, as the configuration names or declares it."""

import re
from collections.abc import Mapping
from typing import Final

from contracts.events import EventType, Parameter
from contracts.logs import ADDRESS_LENGTH, WORD_LENGTH
from daemon.mistakes import nearest, shown
from daemon.toml_reader import Table

# Stands in for an event that is missing or wrong until all mistakes are told.
_NO_EVENT: Final = EventType.parse(
    "Nothing(address wallet,uint256 amount)", name="", wallet="wallet", amount="amount"
)
_EVENT_WANTED: Final = (
    'an event\'s name such as "staking-rewards.Staked", or its declaration:'
    ' { signature = "Paid(address indexed to,uint256 sum)", wallet = "to", amount = "sum" }'
)
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)
_INTEGER: Final = re.compile(r"u?int[0-9]+|bool", re.ASCII)


def read_event(table: Table, events: Mapping[str, EventType]) -> EventType:
    """Return the event under `event`: one of `events` by its name, or one that is declared."""
    value = table.value("event")
    if isinstance(value, dict):
        return _declared(table)
    name = table.text("event", wanted=_EVENT_WANTED)
    if name and name not in events:
        table.mistake("event", f"{shown(name)} is no known event: {nearest(name, events)}")
    return events.get(name, _NO_EVENT)


def _declared(table: Table) -> EventType:
    parts = table.table("event", wanted=_EVENT_WANTED)
    texts = {
        "signature": 'a signature such as "Paid(address indexed to,uint256 sum)"',
        "wallet": 'the name of the parameter that says who, such as "to"',
        "amount": 'the name of the parameter that says how much, such as "sum"',
    }
    said = {key: parts.text(key, wanted=wanted) for key, wanted in texts.items()}
    parts.refuse_unknown()
    if not all(said.values()):
        return _NO_EVENT
    signature = " ".join(said["signature"].split())
    name = f"{signature} wallet={said['wallet']} amount={said['amount']}"
    try:
        event = EventType.parse(signature, name=name, wallet=said["wallet"], amount=said["amount"])
    except ValueError as error:
        parts.mistake("signature", str(error).removeprefix(f"{name}: "))
        return _NO_EVENT
    return event


def read_where(table: Table, event: EventType) -> tuple[tuple[str, int | bytes], ...]:
    """Return what fields of the event must be for it to count, such as a pool's number, by name."""
    conditions = table.table("where", wanted="a table such as { pid = 3 }")
    known = {each.name: each for each in event.parameters if each.read is not None}
    where: dict[str, int | bytes] = {}
    for name in conditions.keys() if event is not _NO_EVENT else ():
        value = conditions.value(name)
        if name not in known:
            conditions.mistake(name, f"is no field of the event: {nearest(name, known)}")
            continue
        length = _length_of(known[name])
        found = _bytes_of(value, length) if length else _integer_of(value)
        if found is None:
            wanted = f"{length} bytes as hexadecimal text" if length else "a whole number"
            conditions.mistake(name, f"must be {wanted} (got {shown(value)})")
        else:
            where[name] = found
    return tuple(sorted(where.items()))


def _length_of(parameter: Parameter) -> int:
    """Return how many bytes its values are, 0 if they are integers."""
    if parameter.abi_type == "address":
        return ADDRESS_LENGTH
    return 0 if _INTEGER.fullmatch(parameter.abi_type) else WORD_LENGTH


def _integer_of(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None  # true and false are 1 and 0


def _bytes_of(value: object, length: int) -> bytes | None:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        return None
    found = bytes.fromhex(value[2:])
    return found if len(found) == length else None
