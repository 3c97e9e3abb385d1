"""The texts of EIP-4361: those that its grammar has are read and written, no others."""

import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.calling.addresses import format_address
from api.identity.siwe import (
    MESSAGE_LENGTH_MAX,
    RESOURCES_MAX,
    Message,
    moment,
    moment_text,
    parse_message,
    render_message,
)
from api.shapes import CHAIN_ID_MAX

ADDRESS = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
PLAIN = Message(
    domain="credits.example",
    address=ADDRESS,
    statement="Sign in to see and spend your credits.",
    uri="https://credits.example/v1/sign-in",
    chain_id=1,
    nonce="k3mQ0zvR7TfW1xYb",
    issued_at="2026-11-20T12:00:00Z",
    expiration_time="2026-11-20T12:10:00Z",
)
TEXT = """credits.example wants you to sign in with your Ethereum account:
0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

Sign in to see and spend your credits.

URI: https://credits.example/v1/sign-in
Version: 1
Chain ID: 1
Nonce: k3mQ0zvR7TfW1xYb
Issued At: 2026-11-20T12:00:00Z
Expiration Time: 2026-11-20T12:10:00Z"""
WITHOUT_ENDING = TEXT.removesuffix("\nExpiration Time: 2026-11-20T12:10:00Z")

PARTS: dict[str, dict[str, object]] = {
    "no statement": {"statement": None},
    "a statement of every letter": {"statement": "AZaz09 :/?#[]@!$&'()*+,;=-._~"},
    "a statement like a line": {"statement": "URI: https://another.example"},
    "a scheme": {"scheme": "https"},
    "a port": {"domain": "localhost:8402"},
    "an empty port": {"domain": "credits.example:"},
    "an IPv4 address": {"domain": "127.0.0.1:8402"},
    "an IPv6 address": {"domain": "[2001:db8::1]:443"},
    "an address to come": {"domain": "[v7.x:y]"},
    "a user": {"domain": "user:secret@credits.example"},
    "an escaped domain": {"domain": "caf%C3%A9.example"},
    "a URI of another scheme": {"uri": "did:key:z6Mk"},
    "a URI with everything": {"uri": "https://a@b:1/c/d;e=f/%20?g=h/i#j?k"},
    "a URI of a rooted path": {"uri": "file:/etc/passwd"},
    "a URI that is only a scheme": {"uri": "about:"},
    "the largest chain id": {"chain_id": CHAIN_ID_MAX},
    "chain id 0": {"chain_id": 0},
    "the shortest nonce": {"nonce": "abcd1234"},
    "parts of seconds": {"issued_at": "2026-11-20T12:00:00.123456789Z"},
    "another offset": {"issued_at": "2026-11-20T13:00:00+01:00"},
    "small letters in a time": {"issued_at": "2026-11-20t12:00:00z"},
    "no end": {"expiration_time": None},
    "a beginning": {"not_before": "2026-11-20T11:59:00Z"},
    "a request id": {"request_id": "req_1:a@b!$&'()*+,;=%2F"},
    "an empty request id": {"request_id": ""},
    "no resources, said so": {"resources": ()},
    "resources": {"resources": ("ipfs://bafy/", "https://example.com/my-claim.json")},
}


def test_a_message_is_written_as_the_standard_shows_it() -> None:
    assert render_message(PLAIN) == TEXT


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_what_the_grammar_has_is_read_and_written(parts: dict[str, object]) -> None:
    message = replace(PLAIN, **parts)  # type: ignore[arg-type]
    assert parse_message(render_message(message)) == message


def test_a_message_without_a_statement_has_two_empty_lines() -> None:
    text = render_message(replace(PLAIN, statement=None))
    assert text.split("\n")[1:5] == [format_address(ADDRESS), "", "", f"URI: {PLAIN.uri}"]


WRONG = {
    "nothing": "",
    "a line feed at the end": TEXT + "\n",
    "a blank at the end": TEXT + " ",
    "a line feed at the beginning": "\n" + TEXT,
    "CRLF": TEXT.replace("\n", "\r\n"),
    "one CR": TEXT.replace("\n", "\r", 1),
    "a line separator for a line feed": TEXT.replace("\n", "\u2028"),
    "a NUL": TEXT + "\0",
    "an extra line": TEXT.replace("Version", "Extra: 1\nVersion"),
    "an extra empty line": TEXT.replace("\n\nURI", "\n\n\nURI"),
    "a missing empty line": TEXT.replace("\n\nSign", "\nSign"),
    "lines in another order": TEXT.replace(
        "Version: 1\nChain ID: 1", "Chain ID: 1\nVersion: 1"
    ),
    "two of a line": TEXT.replace("Chain ID: 1", "Chain ID: 1\nChain ID: 1"),
    "no address": TEXT.replace("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n", ""),
    "an address in one case": TEXT.replace("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "5a" * 20),
    "an address in small letters": TEXT.replace(
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x" + ADDRESS.hex()
    ),
    "an address with a wrong checksum": TEXT.replace("0x5aA", "0x5aa"),
    "an address with a capital X": TEXT.replace("0x5aA", "0X5aA"),
    "a short address": TEXT.replace("BeAed\n", "BeAe\n"),
    "no domain": TEXT.removeprefix("credits.example"),
    "a domain of nothing but a port": TEXT.replace("credits.example wants", " wants"),
    "a domain with a path": TEXT.replace("credits.example wants", "credits.example/a wants"),
    "a domain with a blank": TEXT.replace("credits.example wants", "credits example wants"),
    "a domain with two ports": TEXT.replace("credits.example wants", "a:1:2 wants"),
    "a domain that is no IPv6": TEXT.replace("credits.example wants", "[::g] wants"),
    "a domain with a zone": TEXT.replace("credits.example wants", "[fe80::1%25eth0] wants"),
    "a domain with an open bracket": TEXT.replace("credits.example wants", "[::1 wants"),
    "a domain with a half escape": TEXT.replace("credits.example wants", "a%2 wants"),
    "a look-alike domain": TEXT.replace("credits.example wants", "\u0441redits.example wants"),
    "a scheme with a digit first": "1" + TEXT.replace("credits", "https://credits", 1),
    "another sentence": TEXT.replace("wants you to sign", "Wants you to sign"),
    "an empty statement": TEXT.replace("Sign in to see and spend your credits.", ""),
    "a statement with quotes": TEXT.replace("your credits", '"credits"'),
    "a statement with a percent sign": TEXT.replace("your credits", "100% credits"),
    "a statement that looks alike": TEXT.replace("spend", "\u0455pend"),
    "a statement with a tab": TEXT.replace("see and", "see\tand"),
    "a relative URI": TEXT.replace("https://credits.example/v1", "/v1"),
    "a URI with a blank": TEXT.replace("/v1/sign-in", "/v1/sign in"),
    "a URI with a wrong authority": TEXT.replace("https://credits.example/", "https://[x]/"),
    "a URI with two fragments": TEXT.replace("/v1/sign-in", "/#a#b"),
    "a URI with a half escape": TEXT.replace("/v1/sign-in", "/%zz"),
    "no URI": TEXT.replace("URI: https://credits.example/v1/sign-in\n", ""),
    "another version": TEXT.replace("Version: 1", "Version: 2"),
    "a chain id with a zero first": TEXT.replace("Chain ID: 1", "Chain ID: 01"),
    "a chain id with a sign": TEXT.replace("Chain ID: 1", "Chain ID: +1"),
    "a chain id of other digits": TEXT.replace("Chain ID: 1", "Chain ID: \u0661"),
    "a chain id in hexadecimal": TEXT.replace("Chain ID: 1", "Chain ID: 0x1"),
    "no chain id": TEXT.replace("Chain ID: 1", "Chain ID: "),
    "a chain id too large": TEXT.replace("Chain ID: 1", f"Chain ID: {CHAIN_ID_MAX + 1}"),
    "a short nonce": TEXT.replace("k3mQ0zvR7TfW1xYb", "abcd123"),
    "a nonce with a hyphen": TEXT.replace("k3mQ0zvR7TfW1xYb", "abcd-1234"),
    "no time": TEXT.replace("Issued At: 2026-11-20T12:00:00Z", "Issued At: "),
    "a time without a zone": TEXT.replace("12:00:00Z", "12:00:00"),
    "a time with a blank": TEXT.replace("2026-11-20T12:00", "2026-11-20 12:00"),
    "a day that never was": TEXT.replace("2026-11-20T12:00:00Z", "2026-02-30T12:00:00Z"),
    "an hour that never is": TEXT.replace("T12:00:00Z", "T24:00:00Z"),
    "a time by the week": TEXT.replace("2026-11-20T12:00:00Z", "2026-W47-5T12:00:00Z"),
    "an end before the issue": WITHOUT_ENDING.replace(
        "\nIssued", "\nExpiration Time: 2026-11-20T12:10:00Z\nIssued"
    ),
    "a request id with a blank": TEXT + "\nRequest ID: a b",
    "a request id with a slash": TEXT + "\nRequest ID: a/b",
    "a request id after the resources": TEXT + "\nResources:\n- https://a\nRequest ID: a",
    "resources in one line": TEXT + "\nResources: https://a.example",
    "a resource without its hyphen": TEXT + "\nResources:\nhttps://a.example",
    "a resource that is none": TEXT + "\nResources:\n- nothing",
    "resources that end with a line feed": TEXT + "\nResources:\n",
    "too many resources": TEXT + "\nResources:" + "\n- a:" * (RESOURCES_MAX + 1),
    "too long": TEXT + "\nRequest ID: " + "a" * MESSAGE_LENGTH_MAX,
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    assert text != TEXT
    with pytest.raises(ValueError, match=r"."):
        parse_message(text)


def test_a_text_that_is_long_to_refuse_is_refused_at_once() -> None:
    for attack in ("%" * 4_000, "%41" * 1_300, ":" * 4_000, "a:" * 2_000, "/" * 4_000):
        for prefix in ("URI: https://", "URI: a:", "URI: "):
            before, _, after = TEXT.partition("URI: https://credits.example/v1/sign-in")
            text = f"{before}{prefix}{attack[:3_500]} {after}"
            with pytest.raises(ValueError, match=r"."):
                parse_message(text)


# Any message -------------------------------------------------------------------------------------

LETTERS = string.ascii_letters + string.digits
UNRESERVED = LETTERS + "-._~"
SUB_DELIMS = "!$&'()*+,;="


def texts(letters: str, *, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=least, max_size=20)


hosts = st.one_of(
    texts(UNRESERVED, least=1),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
domains = st.builds(
    lambda host, port: host + port, hosts, st.integers(1, 65_535).map(":{}".format) | st.just("")
)
paths = st.lists(texts(UNRESERVED + SUB_DELIMS + ":@"), max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
uris = st.builds(
    lambda domain, path, query: f"https://{domain}{path}{query}",
    *(domains, paths, texts(UNRESERVED + "/?=&").map("?{}".format) | st.just("")),
)
times = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the zone is drawn apart
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(moment_text)
messages = st.builds(
    Message,
    scheme=st.none() | st.sampled_from(["https", "http", "a+b-c.d1"]),
    domain=domains,
    address=st.binary(min_size=20, max_size=20),
    statement=st.none() | texts(UNRESERVED + SUB_DELIMS + ":/?#[]@ ", least=1),
    uri=uris,
    chain_id=st.integers(0, CHAIN_ID_MAX),
    nonce=texts(LETTERS, least=8),
    issued_at=times,
    expiration_time=st.none() | times,
    not_before=st.none() | times,
    request_id=st.none() | texts(UNRESERVED + SUB_DELIMS + ":@"),
    resources=st.none() | st.lists(uris, max_size=3).map(tuple),
)


@given(messages)
def test_what_is_written_is_read_again(message: Message) -> None:
    assume(len(render_message(message)) <= MESSAGE_LENGTH_MAX)
    assert parse_message(render_message(message)) == message


@given(messages, st.data())
def test_two_texts_are_never_one_message(message: Message, data: st.DataObject) -> None:
    """One letter more, less or another: what is read then is not what was written."""
    text = render_message(message)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from([*"\n\r \t:/-0aZ%é", "\u2028", ""]))
    width = data.draw(st.integers(0, 1))
    changed = text[:at] + letter + text[at + width :]
    assume(changed != text)
    try:
        read = parse_message(changed)
    except ValueError:
        return
    assert read != message
    assert render_message(read) == changed


def test_a_moment_is_the_same_however_its_offset_is_written() -> None:
    at = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
    for text in ("2026-11-20T12:00:00Z", "2026-11-20t12:00:00.000z", "2026-11-20T14:30:00+02:30"):
        assert moment(text) == at
    assert moment_text(at) == "2026-11-20T12:00:00Z"
