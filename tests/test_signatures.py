"""Whose signature is over a text: a key's, a contract's, or nobody's."""

import asyncio
from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from api.calling.sign_in_terms import AskContract
from api.identity.recovery import KEY_SIGNATURE_BYTES, recover
from api.identity.signatures import (
    SIGNATURE_BYTES_MAX,
    Proof,
    parse_signature,
    prove,
    signed_hash,
)

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
SIGNER = bytes.fromhex(Account.from_key(KEY).address[2:])
TEXT = "credits.example wants you to sign in\n"
CHAIN = 31337


def sign(text: str = TEXT, key: str = KEY) -> bytes:
    return bytes(Account.sign_message(encode_defunct(text=text), key).signature)


def answering(answer: bool | None) -> AskContract:
    async def ask(_chain: int, _address: bytes, _hash: bytes, _signature: bytes) -> bool | None:
        return answer

    return ask


def proof(signature: bytes, *, text: str = TEXT, contract: bool | None = False) -> Proof:
    return asyncio.run(prove(answering(contract), CHAIN, SIGNER, text, signature))


@settings(max_examples=25, deadline=None)
@given(st.text(), st.integers(1, ORDER - 1))
def test_who_signed_is_who_the_wallets_library_says(text: str, secret: int) -> None:
    account = Account.from_key(secret.to_bytes(32))
    signature = sign(text, account.key.hex())
    assert recover(signed_hash(text), signature) == bytes.fromhex(account.address[2:])


def test_a_keys_signature_proves_the_key() -> None:
    assert proof(sign()) is Proof.KEY
    r, s, v = sign()[:32], sign()[32:64], sign()[64]
    assert proof(r + s + bytes([v - 27])) is Proof.KEY


def flipped(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:64])
    return signature[:32] + (ORDER - s).to_bytes(32) + bytes([27 + 28 - signature[64]])


def with_v(v: int) -> Callable[[bytes], bytes]:
    return lambda signature: signature[:64] + bytes([v])


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "the other s": flipped,
    "the compact form": lambda signature: (
        signature[:32]
        + (int.from_bytes(signature[32:64]) | (signature[64] - 27) << 255).to_bytes(32)
    ),
    "one byte less": lambda signature: signature[:-1],
    "one byte more": lambda signature: signature + b"\0",
    "zeros": lambda _: bytes(65),
    "r = 0": lambda signature: bytes(32) + signature[32:],
    "s = 0": lambda signature: signature[:32] + bytes(32) + signature[64:],
    "r beyond the order": lambda signature: ORDER.to_bytes(32) + signature[32:],
    "s beyond the order": lambda signature: signature[:32] + ORDER.to_bytes(32) + signature[64:],
    "v = 2": with_v(2),
    "v = 29": with_v(29),
    "v = 37": with_v(37),
    "v = 255": with_v(255),
    "one bit": lambda signature: bytes([signature[0] ^ 1]) + signature[1:],
    "another's": lambda _: sign(key="0x" + "01" * 32),
    "of another text": lambda _: sign(TEXT + " "),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_signature_proves_nothing(forge: Callable[[bytes], bytes]) -> None:
    assert proof(forge(sign())) is Proof.NONE


def test_the_other_s_would_recover_the_same_key() -> None:
    """What is refused above is a signature of the key by the curve alone."""
    assert (
        Account.recover_message(encode_defunct(text=TEXT), signature=flipped(sign()))[2:]
        == (Account.from_key(KEY).address[2:])
    )


def test_the_contract_is_asked_where_no_key_signed() -> None:
    assert proof(b"anything", contract=True) is Proof.CONTRACT
    assert proof(b"", contract=True) is Proof.CONTRACT
    assert proof(b"anything", contract=None) is Proof.UNKNOWN
    # A key is not asked for at the chain: an address with code (EIP-7702) keeps its key's proof.
    assert proof(sign(), contract=None) is Proof.KEY


def test_the_contract_is_asked_what_was_signed() -> None:
    asked: list[tuple[int, bytes, bytes, bytes]] = []

    async def ask(chain: int, address: bytes, hashed: bytes, signature: bytes) -> bool | None:
        asked.append((chain, address, hashed, signature))
        return True

    asyncio.run(prove(ask, CHAIN, b"\x01" * 20, TEXT, b"\x02"))
    assert asked == [(CHAIN, b"\x01" * 20, signed_hash(TEXT), b"\x02")]


@pytest.mark.parametrize("text", ["", "0X00", "00", "0x0", "0xzz", "0x00 ", "0x00\n", "0x\u0660"])
def test_a_signature_is_hexadecimal(text: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        parse_signature(text)


def test_a_signature_has_a_bound() -> None:
    longest = "0x" + "ab" * SIGNATURE_BYTES_MAX
    assert len(parse_signature(longest)) == SIGNATURE_BYTES_MAX
    with pytest.raises(ValueError, match=str(SIGNATURE_BYTES_MAX)):
        parse_signature(longest + "ab")
    assert parse_signature("0x") == b""
    assert KEY_SIGNATURE_BYTES < SIGNATURE_BYTES_MAX
