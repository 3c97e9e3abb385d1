"""Addresses in the configuration: of databases, of the nodes of a chain, and of accounts on it."""

import re
from collections.abc import Mapping
from typing import Final

from contracts.hashing import keccak
from daemon.configuration.secret_url import SecretUrl, fill_in
from daemon.configuration.toml_reader import Key, Table

# Each final block is compared across all of them: more would cost more than they tell.
NODES_MAX: Final = 8

CHECKSUM_WANTED: Final = (
    "fails its checksum, so a digit or a capital is wrong: copy it again from where it was"
    " published, or, if every digit is right, write it all in small letters"
)

_ACCOUNT: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)

# EIP-55: a letter is a capital where its digit of the hash is 8 or more.
_UPPER_FROM: Final = 8

_STAND_IN: Final = SecretUrl("stand-in://nowhere")


def read_url(
    table: Table, key: str, schemes: tuple[str, ...], environ: Mapping[str, str]
) -> SecretUrl:
    """Return an address of one of the schemes. What it holds is in no mistake."""
    text = table.text(key, wanted=_wanted(schemes))
    return _url_of(table, key, text, schemes, environ)


def read_rpc_urls(table: Table, environ: Mapping[str, str]) -> tuple[SecretUrl, ...]:
    """Return the addresses of a chain's nodes: `rpc_url` is one, or a list of several."""
    key, schemes = "rpc_url", ("http", "https")
    value = table.value(key)
    if not isinstance(value, list):
        texts = [table.text(key, wanted=_wanted(schemes))]
    elif not 1 <= len(value) <= NODES_MAX or not all(isinstance(each, str) for each in value):
        table.mistake(key, f"must be {_wanted(schemes)}, or a list of 1 to {NODES_MAX} of these")
        return (_STAND_IN,)
    else:
        texts = [str(each) for each in value]
    urls = tuple(_url_of(table, key, text, schemes, environ) for text in texts)
    if table.sound(key) and any("," in url.hosts or not url.hosts for url in urls):
        table.mistake(key, "must name one host: several nodes are a list of addresses")
    if table.sound(key) and len(set(urls)) < len(urls):
        table.mistake(key, "has an address twice: a node that agrees with itself proves nothing")
    return urls


def read_accounts(table: Table, key: str, what: str, at_most: int) -> tuple[bytes, ...]:
    """Return accounts of a chain, 20 bytes each: one, or a list of 1 to `at_most` of them.

    `what` says what they are the addresses of.
    """
    value = table.value(key)
    if not isinstance(value, list):
        return (_read_account(table, key, what),)
    if not 1 <= len(value) <= at_most:
        table.mistake(key, f"must be 1 to {at_most} addresses (got {len(value)})")
        return (b"",)
    items = table.array(key)
    accounts = tuple(_read_account(items, index, what) for index in range(len(value)))
    if len(set(accounts)) < len(accounts) and items.sound(*range(len(value))):
        table.mistake(key, "has an address twice")
    return accounts


def _read_account(table: Table, key: Key, what: str) -> bytes:
    wanted = f"{what}'s address, 0x and 40 hexadecimal digits"
    text = table.text(key, wanted=wanted)
    if not text:
        return b""
    if _ACCOUNT.fullmatch(text) is None:
        table.mistake(key, f"must be {wanted} (got {len(text)} characters)")
        return b""
    account = bytes.fromhex(text.removeprefix("0x"))
    if not any(account):
        table.mistake(key, f"is the zero address, which is no {what.rpartition(' ')[2]}'s")
    if fails_checksum(text):
        table.mistake(key, CHECKSUM_WANTED)
    return account


def fails_checksum(text: str) -> bool:
    """Return whether the capitals of an address contradict its digits (EIP-55).

    Without capitals, or without small letters, there is no checksum.
    """
    digits = text.removeprefix("0x")
    if digits in {digits.lower(), digits.upper()}:
        return False
    hashed = keccak(digits.lower().encode("ascii")).hex()
    return any(
        digit.isalpha() and digit.isupper() != (int(of_hash, 16) >= _UPPER_FROM)
        for digit, of_hash in zip(digits, hashed, strict=False)
    )


def _url_of(
    table: Table, key: str, text: str, schemes: tuple[str, ...], environ: Mapping[str, str]
) -> SecretUrl:
    if not text:
        return _STAND_IN
    try:
        url = SecretUrl(fill_in(text, environ))
    except ValueError as error:
        table.mistake(key, str(error))
        return _STAND_IN
    if url.scheme not in schemes:
        table.mistake(key, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url


def _wanted(schemes: tuple[str, ...]) -> str:
    return f'an address such as "{schemes[0]}://…" or "$NAME" from the environment'
