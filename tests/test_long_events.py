"""Events whose data ends in values of any length: ERC-900's note, an array, a hashed text."""

import pytest
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from contracts.catalogue import EVENTS
from contracts.events import Decoded, EventType, Mismatch
from contracts.logs import Log

TX = b"\x7a" * 32
USER = bytes(range(1, 21))

ERC900 = EVENTS["erc900.Staked"]


def log_of(*topics: bytes, data: bytes) -> Log:
    return Log(b"\xe0" * 20, topics, data, TX, 0, 0)


def erc900_log(amount: int, note: bytes) -> Log:
    data = encode(["uint256", "uint256", "bytes"], [amount, 9, note])
    return log_of(ERC900.topic0, bytes(12) + USER, data=data)


@given(amount=st.integers(0, 2**256 - 1), note=st.binary(max_size=100))
def test_an_event_with_a_value_of_any_length_decodes_to_what_was_encoded(
    amount: int, note: bytes
) -> None:
    found = ERC900.decode(erc900_log(amount, note))
    assert found == Decoded(USER, amount, {"user": USER, "amount": amount, "total": 9})


@given(
    note=st.binary(max_size=70),
    at=st.integers(0, 300),
    change=st.integers(1, 255),
)
def test_data_that_no_values_encode_to_is_another_event(note: bytes, at: int, change: int) -> None:
    log = erc900_log(5, note)
    data = bytearray(log.data)
    data[at % len(data)] ^= change
    found = ERC900.decode(log_of(*log.topics, data=bytes(data)))
    try:
        values = decode(["uint256", "uint256", "bytes"], bytes(data))
    except (DecodingError, OverflowError):  # which an offset beyond all is
        assert isinstance(found, Mismatch)
        return
    same = encode(["uint256", "uint256", "bytes"], values) == bytes(data)
    assert isinstance(found, Decoded) == same


@pytest.mark.parametrize("beyond", [b"\0", bytes(32)])
def test_what_follows_the_last_value_makes_it_another_event(beyond: bytes) -> None:
    log = erc900_log(5, b"note")
    found = ERC900.decode(log_of(*log.topics, data=log.data + beyond))
    assert found == Mismatch("the data of the log is not what erc900.Staked encodes to")


def test_data_that_is_shorter_than_its_words_is_another_event() -> None:
    found = ERC900.decode(log_of(*erc900_log(5, b"").topics, data=bytes(95)))
    assert found == Mismatch("erc900.Staked has at least 96 bytes of data, the log 95")


def test_of_a_long_value_that_is_indexed_the_topic_is_its_hash() -> None:
    event = EventType.parse(
        "Paid(address to,uint256 sum,string indexed memo,uint8[] parts)",
        name="paid",
        wallet="to",
        amount="sum",
    )
    data = encode(["address", "uint256", "uint8[]"], [USER, 7, [1, 2]])
    found = event.decode(log_of(event.topic0, TX, data=data))
    assert found == Decoded(USER, 7, {"to": USER, "sum": 7, "memo": TX})
