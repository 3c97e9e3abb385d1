"""The origin that people know the API by: as browsers name it, or a mistake."""

from pathlib import Path

import pytest
from config_documents import document, load, toml

from api.calling.sign_in_terms import SignInTerms
from daemon.configuration.config import ConfigError

PLACE = ("api", "public_url")


async def nobody(_chain_id: int, _address: bytes, _hash: bytes, _signature: bytes) -> None:
    """No contract can be asked."""


def loaded(folder: Path, value: object) -> str | None:
    return load(folder, toml(document({PLACE: value}))).api.public_url


def test_without_one_nobody_signs_in(tmp_path: Path) -> None:
    assert load(tmp_path, toml(document())).api.public_url is None


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://credits.example", "credits.example"),
        ("https://credits.example:8443", "credits.example:8443"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://192.0.2.1", "192.0.2.1"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ("http://localhost:8402", "localhost:8402"),
        ("http://credits.localhost", "credits.localhost"),
        ("http://127.0.0.1:8402", "127.0.0.1:8402"),
        ("http://[::1]:8402", "[::1]:8402"),
    ],
)
def test_an_origin_is_taken_as_it_stands(tmp_path: Path, url: str, domain: str) -> None:
    assert loaded(tmp_path, url) == url
    assert SignInTerms(url, frozenset(), nobody).domain == domain


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "an origin as browsers name it"),
        (8402, "an origin as browsers name it"),
        ("credits.example", "an origin as browsers name it"),
        ("https://credits.example/", "an origin as browsers name it"),
        ("https://credits.example/api", "an origin as browsers name it"),
        ("https://Credits.example", "an origin as browsers name it"),
        ("HTTPS://credits.example", "an origin as browsers name it"),
        ("https://user@credits.example", "an origin as browsers name it"),
        ("https://credits.example:", "an origin as browsers name it"),
        ("https://credits.example:0443", "an origin as browsers name it"),
        ("https://credits example", "an origin as browsers name it"),
        ("https://credits.example\n", "an origin as browsers name it"),
        ("https://1.2.3", "an origin as browsers name it"),
        ("https://[::g]", "an origin as browsers name it"),
        ("https://[2001:DB8::1]", "an origin as browsers name it"),
        ("https://[2001:db8:0::1]", "an origin as browsers name it"),
        ("ftp://credits.example", "an origin as browsers name it"),
        ("null", "an origin as browsers name it"),
        ("https://credits.example:443", "must not name port 443"),
        ("http://localhost:80", "must not name port 80"),
        ("https://credits.example:65536", "must not name port 65536"),
        ("http://credits.example", "must begin with https://"),
        ("http://192.0.2.1", "must begin with https://"),
        ("http://localhost.example", "must begin with https://"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_a_mistake(
    tmp_path: Path, value: object, complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, value)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "api.public_url"
    assert complaint in mistake.message
