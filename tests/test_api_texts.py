"""What is read of a request before the books are asked: keys, addresses, cursors, shapes."""

import contextlib
import hashlib
import re
from collections.abc import Callable

import msgspec
import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from api.accounts.wire import AccountRequest
from api.calling.addresses import format_address, parse_address
from api.calling.cursors import format_cursor, parse_cursor
from api.calling.decoding import decode_body, decode_query
from api.calling.idempotency import parse_idempotency_key
from api.identity.keys import KEY_LENGTH, digest_api_key, new_api_key
from api.metering.wire import ChargeRequest
from api.problems.refusals import Invalid, KeyMalformed, KeyMissing, Malformed, Refused
from api.shapes import CURSOR_LENGTH_MAX, PageQuery


def refusal_of(call: Callable[[], object]) -> object:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.cause


# API keys ----------------------------------------------------------------------------------------


def test_a_new_api_key_is_known_by_its_digest_and_never_printed() -> None:
    key = new_api_key()
    assert re.fullmatch(r"ck_[0-9A-Za-z]{36}", key.text)
    assert digest_api_key(key.text) == key.digest == hashlib.sha256(key.text.encode()).digest()
    assert key.hint == f"ck_…{key.text[-4:]}"
    assert key.text not in repr(key)
    assert new_api_key().text != key.text


@given(st.integers(0, KEY_LENGTH - 1), st.characters(codec="utf-8"))
def test_an_api_key_with_one_wrong_letter_is_none(position: int, letter: str) -> None:
    text = "ck_0123456789abcdefghijABCDEFGHIJ3mpbCX"
    assert digest_api_key(text) is not None
    wrong = text[:position] + letter + text[position + 1 :]
    assert wrong == text or digest_api_key(wrong) is None


@pytest.mark.parametrize("text", ["", "ck_", "ck_" + "0" * 35, "sk_" + "0" * 36, "ck_" + "é" * 36])
def test_what_is_no_api_key_has_no_digest(text: str) -> None:
    assert digest_api_key(text) is None


# Idempotency keys --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b"order 7", "order 7"),
        (b'"a\\"b\\\\c"', 'a"b\\c'),
        (b'a"b', 'a"b'),
        (b"x" * 255, "x" * 255),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
    ],
)
def test_an_idempotency_key_is_taken_bare_or_quoted(value: bytes, key: str) -> None:
    assert parse_idempotency_key([value]) == key


@pytest.mark.parametrize(
    "value",
    [b"", b'""', b'"', b'"a', b'"a"b"', b'"a\\x"', b'"a";b=1', b"x" * 256, b"\xc3\xa9", b"a\tb"],
)
def test_what_is_no_idempotency_key_is_refused(value: bytes) -> None:
    assert isinstance(refusal_of(lambda: parse_idempotency_key([value])), KeyMalformed)


def test_an_idempotency_key_must_be_there_once() -> None:
    assert refusal_of(lambda: parse_idempotency_key([])) == KeyMissing()
    assert isinstance(refusal_of(lambda: parse_idempotency_key([b"a", b"a"])), KeyMalformed)


# Addresses ---------------------------------------------------------------------------------------

# The examples of EIP-55.
CHECKSUMMED = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_addresses_are_written_with_the_checksum_of_eip55(text: str) -> None:
    address = parse_address(text)
    assert format_address(address) == text
    assert parse_address(text.lower()) == parse_address("0x" + text[2:].upper()) == address


def test_a_wrong_checksum_is_refused_and_told_with_the_right_one() -> None:
    right = CHECKSUMMED[4]
    wrong = right.replace("aA", "aa")
    with pytest.raises(ValueError, match=right):
        parse_address(wrong)


@pytest.mark.parametrize(
    "text", ["", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x" + "g" * 40]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="40 hexadecimal digits"):
        parse_address(text)


@given(st.binary(min_size=20, max_size=20))
def test_addresses_look_as_others_write_them(address: bytes) -> None:
    assert format_address(address) == to_checksum_address(address)


# Cursors -----------------------------------------------------------------------------------------


@given(st.integers(1, 2**63 - 1))
def test_a_cursor_leads_back_to_where_it_was_made(position: int) -> None:
    assert parse_cursor("entries", format_cursor("entries", position)) == position


@given(st.text(max_size=200))
def test_what_is_no_cursor_is_refused_by_name(text: str) -> None:
    cause = refusal_of(lambda: parse_cursor("entries", text))
    assert isinstance(cause, Invalid)
    assert cause.field == "cursor"


@pytest.mark.parametrize(
    "text",
    [format_cursor("earnings", 1), format_cursor("entries", 2**63), format_cursor("entries", 0)],
)
def test_a_cursor_of_another_list_or_out_of_range_is_refused(text: str) -> None:
    assert isinstance(refusal_of(lambda: parse_cursor("entries", text)), Invalid)


# Bodies and queries ------------------------------------------------------------------------------

CHARGE = msgspec.json.Decoder(ChargeRequest)
ACCOUNT = msgspec.json.Decoder(AccountRequest)


@pytest.mark.parametrize(
    "units",
    ["0", "-1", "1.0", "1e2", "true", '"1"', "null", "1000000001", "9" * 40, "[1]", "1e999"],
)
def test_units_are_a_positive_integer_within_bounds(units: str) -> None:
    body = f'{{"account": "a", "operation": "o", "units": {units}}}'.encode()
    cause = refusal_of(lambda: decode_body(CHARGE, body))
    assert isinstance(cause, Invalid)
    assert cause.field == "units"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "account"),
        (b"{}", "account"),
        (b'{"account": "a"}', "operation"),
        (b'{"account": 1, "operation": "o"}', "account"),
        (b'{"account": "a", "operation": "o", "unit": 1}', "unit"),
        (b'{"account": "a", "operation": "o\\n"}', "operation"),
        (b'{"account": "a", "operation": "o\\u0000"}', "operation"),
        (b'{"account": "a", "operation": "o", "price_version": 0}', "price_version"),
        (b"[]", ""),
    ],
)
def test_what_is_wrong_with_a_charge_is_told_with_its_field(body: bytes, field: str) -> None:
    cause = refusal_of(lambda: decode_body(CHARGE, body))
    assert isinstance(cause, Invalid)
    assert cause.field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", ""),
        (b'{"name": "a", "wallet": {"chain_id": 1, "address": "0x"}}', ""),
        (b'{"name": ""}', "name"),
        (b'{"name": "a\\nb"}', "name"),
        (b'{"name": "a\\n"}', "name"),
        (b'{"wallet": {"chain_id": "1", "address": "0x"}}', "wallet.chain_id"),
        (b'{"wallet": {"chain_id": 1}}', "wallet.address"),
        (b'{"wallet": {"chain_id": 1, "address": "0x", "x": 1}}', "wallet.x"),
        (b'{"wallet": {"chain_id": 9223372036854775807, "address": "0x"}}', "wallet.chain_id"),
    ],
)
def test_an_account_is_named_in_exactly_one_way(body: bytes, field: str) -> None:
    cause = refusal_of(lambda: decode_body(ACCOUNT, body))
    assert isinstance(cause, Invalid)
    assert cause.field == field


@pytest.mark.parametrize(
    "body",
    [
        b"nul",
        b"{",
        b'{"account": "\xff"}',
        b'{"account": "\\ud800"}',
        b'{"account": "a", "operation": "o"} {}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    assert isinstance(refusal_of(lambda: decode_body(CHARGE, body)), Malformed)


@given(st.binary(max_size=200))
def test_no_body_makes_anything_but_a_request_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(Refused):
        assert isinstance(decode_body(CHARGE, body), ChargeRequest)


def test_a_deeply_nested_body_is_refused() -> None:
    body = b'{"account": ' + b"[" * 60_000
    assert isinstance(refusal_of(lambda: decode_body(CHARGE, body)), Invalid)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"limit=0", "limit"),
        (b"limit=201", "limit"),
        (b"limit=x", "limit"),
        (b"limit=", "limit"),
        (b"limit=1.5", "limit"),
        (b"limits=5", "limits"),
        (b"cursor=" + b"x" * (CURSOR_LENGTH_MAX + 1), "cursor"),
        (b"&".join(b"a%d=1" % i for i in range(30)), "query"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_with_its_parameter(query: bytes, field: str) -> None:
    cause = refusal_of(lambda: decode_query(query, PageQuery))
    assert isinstance(cause, Invalid)
    assert cause.field == field


def test_a_page_has_a_size_unless_one_is_asked_for() -> None:
    assert decode_query(b"", PageQuery) == PageQuery(50, None)
    assert decode_query(b"limit=200&cursor=abc", PageQuery) == PageQuery(200, "abc")
