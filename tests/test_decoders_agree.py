"""Every event of every preset, random and spoilt, is read as web3 reads it or set aside."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from web3 import Web3
from web3._utils.events import get_event_data
from web3.exceptions import Web3Exception

from contracts.catalogue import EVENTS
from contracts.events import Decoded, EventType, Mismatch
from contracts.logs import TOPICS_MAX, Log
from contracts.presets import PRESETS

EMITTER = b"\xe0" * 20
CODEC = Web3().codec
OF_PRESETS = sorted({event.name for preset in PRESETS.values() for event, _ in preset.parts})
WORD = 32

Abi = dict[str, Any]


def abi_of(event: EventType) -> Abi:
    """Return an event's ABI, out of its text."""
    name, parameters = event.signature.removesuffix(")").split("(")
    inputs = [
        {"name": words[-1], "type": words[0], "indexed": "indexed" in words}
        for words in (each.split() for each in parameters.split(","))
    ]
    return {"type": "event", "name": name, "anonymous": False, "inputs": inputs}


def value_of(abi_type: str) -> st.SearchStrategy[Any]:
    """Draw a value as web3 shows it: addresses with their checksum."""
    number = re.fullmatch(r"(u?)int([0-9]+)", abi_type)
    if number is not None:
        bits = int(number.group(2))
        if number.group(1):
            return st.integers(0, 2**bits - 1)
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    match abi_type:
        case "address":
            return st.binary(min_size=20, max_size=20).map(Web3.to_checksum_address)
        case "bytes32":
            return st.binary(min_size=32, max_size=32)
        case "bytes":
            return st.binary(max_size=100)
    raise AssertionError(f"a preset has a parameter of the type {abi_type}")


def log_of(event: EventType, abi: Abi, values: Mapping[str, Any]) -> Log:
    """Return the log of an event as web3's codec writes it."""
    indexed = [each for each in abi["inputs"] if each["indexed"]]
    plain = [each for each in abi["inputs"] if not each["indexed"]]
    topics = [CODEC.encode([each["type"]], [values[each["name"]]]) for each in indexed]
    data = CODEC.encode([each["type"] for each in plain], [values[each["name"]] for each in plain])
    return Log(EMITTER, (event.topic0, *topics), data, bytes(32), 0, 0)


def web3_reads(abi: Abi, log: Log) -> Mapping[str, Any] | None:
    """Return what web3 makes of a log, None where it refuses it."""
    entry: Any = {
        "address": Web3.to_checksum_address(log.address),
        "topics": log.topics,
        "data": log.data,
        "blockHash": bytes(32),
        "blockNumber": 0,
        "logIndex": 0,
        "transactionHash": log.tx_hash,
        "transactionIndex": 0,
    }
    abi_of_web3: Any = abi
    try:
        return dict(get_event_data(CODEC, abi_of_web3, entry)["args"])
    except (Web3Exception, DecodingError):
        return None


def as_web3_shows(abi: Abi, decoded: Decoded) -> Mapping[str, Any]:
    types = {each["name"]: each["type"] for each in abi["inputs"]}
    return {
        name: Web3.to_checksum_address(value)
        if isinstance(value, bytes) and types[name] == "address"
        else value
        for name, value in decoded.fields.items()
    }


@pytest.mark.parametrize("name", sorted(EVENTS))
@given(data=st.data())
def test_an_event_is_read_as_web3_reads_it(name: str, data: DataObject) -> None:
    event, abi = EVENTS[name], abi_of(EVENTS[name])
    values = {each["name"]: data.draw(value_of(each["type"])) for each in abi["inputs"]}
    log = log_of(event, abi, values)
    assert web3_reads(abi, log) == values
    found = event.decode(log)
    assert isinstance(found, Decoded)
    words = {each["name"] for each in abi["inputs"] if each["type"] != "bytes"}
    assert as_web3_shows(abi, found) == {name: values[name] for name in words}
    assert Web3.to_checksum_address(found.wallet) == values[event.wallet]
    assert found.amount == values[event.amount]


@pytest.mark.parametrize("name", OF_PRESETS)
@given(data=st.data())
def test_an_event_with_other_topics_or_other_data_is_set_aside(name: str, data: DataObject) -> None:
    event, abi = EVENTS[name], abi_of(EVENTS[name])
    values = {each["name"]: data.draw(value_of(each["type"])) for each in abi["inputs"]}
    log = log_of(event, abi, values)
    counts = [count for count in range(1, TOPICS_MAX + 1) if count != len(log.topics)]
    topics = (*log.topics, *[bytes(WORD)] * TOPICS_MAX)[: data.draw(st.sampled_from(counts))]
    otherwise = Log(EMITTER, topics, log.data, log.tx_hash, 0, 0)
    assert isinstance(event.decode(otherwise), Mismatch)
    assert web3_reads(abi, otherwise) is None
    length = data.draw(st.integers(0, 2 * len(log.data) + WORD).filter(len(log.data).__ne__))
    spoilt = Log(EMITTER, log.topics, log.data.ljust(length, b"\0")[:length], log.tx_hash, 0, 0)
    assert isinstance(event.decode(spoilt), Mismatch)
    # web3 takes what is longer for the event; what is shorter it refuses.
    assert (web3_reads(abi, spoilt) is None) == (length < len(log.data))


@pytest.mark.parametrize("name", OF_PRESETS)
@given(data=st.data())
def test_whatever_is_read_of_any_words_web3_reads_alike(name: str, data: DataObject) -> None:
    event, abi = EVENTS[name], abi_of(EVENTS[name])
    # Words of which some are clean values, and some are nearly.
    word = st.one_of(
        st.binary(min_size=WORD, max_size=WORD),
        st.binary(min_size=20, max_size=20).map(lambda tail: tail.rjust(WORD, b"\0")),
        st.integers(-(2**128), 2**128).map(lambda n: (n % 2**256).to_bytes(WORD)),
    )
    topics = (event.topic0, *(data.draw(word) for _ in range(event.topic_count - 1)))
    body = b"".join(data.draw(word) for _ in range(event.data_length // WORD))
    log = Log(EMITTER, topics, body, bytes(32), 0, 0)
    found, shown = event.decode(log), web3_reads(abi, log)
    assert isinstance(found, Decoded) == (shown is not None)
    if isinstance(found, Decoded):
        assert as_web3_shows(abi, found) == shown
