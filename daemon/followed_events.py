"""The event that a source follows, as the configuration names or declares it."""

import re
from collections.abc import Mapping
from typing import Final

from contracts.events import EventType, Parameter
from contracts.logs import WORD_LENGTH
from daemon.addresses import CHECKSUM_WANTED, fails_checksum
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
_WORD_END: Final = 2 ** (8 * WORD_LENGTH)


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
        parameter = known[name]
        found = _found(value, parameter)
        if found is None:
            conditions.mistake(name, f"must be {parameter.abi_type} (got {shown(value)})")
        elif parameter.abi_type == "address" and fails_checksum(str(value)):
            conditions.mistake(name, CHECKSUM_WANTED)
        else:
            where[name] = found
    return tuple(sorted(where.items()))


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
