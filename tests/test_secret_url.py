import traceback
from dataclasses import asdict
from pathlib import Path

import pytest
from config_documents import document, load, toml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from daemon.configuration.config import ConfigError
from daemon.configuration.secret_url import SecretUrl, fill_in

# A password's first and last characters: each part of a torn password is noticed.
HEAD, TAIL = "Zk3y", "9QxJ"
PASSWORDS = st.text("ab1@/?#:$%&+.,[]{} \\\n", max_size=6).map(lambda text: HEAD + text + TAIL)


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("https://node.example/v2/k3y", "https://node.example/…"),
        ("https://user:pa55@node.example:8545?key=k3y", "https://node.example:8545/…"),
        ("http://[::1]:8545", "http://[::1]:8545/…"),
        (
            "postgresql://u:p%40ss@a.example:5432,b.example/x",
            "postgresql://a.example:5432,b.example/…",
        ),
        ("postgresql:///creditd?host=/run/postgresql", "postgresql:///…"),
    ],
)
def test_only_scheme_and_host_are_shown(text: str, visible: str) -> None:
    url = SecretUrl(text)
    assert (str(url), repr(url)) == (visible, f"SecretUrl('{visible}')")
    assert url.reveal() == text


def test_addresses_are_equal_by_their_whole_text() -> None:
    assert SecretUrl("http://a/1") == SecretUrl("http://a/1")
    assert len({SecretUrl("http://a/1"), SecretUrl("http://a/1"), SecretUrl("http://a/2")}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:pa@ss@h/db",
        "postgresql://u:pa/ss@h/db",
        "postgresql://u:pa?ss@h/db",
        "postgresql://u:pa#ss@h/db",
        "postgresql://u:12/34@h/db",
        "http://h/a@b",
        "http://h/a b",
        "http://h/\n",
        "h.example:80/k3y",
    ],
)
def test_an_address_that_could_be_read_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write %40 for @"):
        SecretUrl(text)


def test_the_environment_fills_in_names_once() -> None:
    environ = {"HOST": "h.example", "KEY": "a$HOST", "_x1": "y"}
    assert fill_in("https://$HOST/${KEY}/$_x1", environ) == "https://h.example/a$HOST/y"


@pytest.mark.parametrize(
    "text", ["$KEY", "${KEY}", "http://h/${KEY}/", "postgresql://u:${KEY}@h/x"]
)
@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_a_variable_that_is_not_set_is_named(text: str, environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not set: KEY;"):
        fill_in(text, environ)


@pytest.mark.parametrize("text", ["http://h/$KEY", "postgresql://u:pa$KEY@h/x", "$A$KEY"])
def test_what_may_be_part_of_a_password_is_not_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"not set: one of \$NAME \(write \$\{NAME\}"):
        fill_in(text, {"A": "http://h/"})


@pytest.mark.parametrize("text", ["a$", "$1", "${}", "${A", "${A B}", "$$A"])
def test_a_dollar_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a dollar itself is %24"):
        fill_in(text, {"A": "x"})


@given(
    PASSWORDS,
    st.sampled_from(
        [
            "{}",
            "$PASSWORD",
            "postgresql://u:{}@h/db",
            "postgres://{}@h",
            "http://u:{}@h:1/",
            "http://h/v2/{}",
            "https://h?key={}",
            "http://u:${}@h/",
            "http://u:x${}@h/",
            "http://u:$PASSWORD@h",
            "https://h/${{PASSWORD}}",
            "mysql://u:{}@h/db",
            "ws://h/{}",
            "http://h/{}@x",
            "u:{}@h/db",
        ]
    ),
    st.sampled_from(
        [("database", "url"), ("chains", "rpc_url"), ("chains", "name"), ("api", "host")]
    ),
)
@example("Zk3y/9QxJ", "postgresql://u:{}@h/db", ("database", "url"))
@example("Zk3y9QxJ", "http://u:x${}@h/", ("chains", "rpc_url"))
@example("Zk3y$a9QxJ", "{}", ("database", "url"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_password_is_shown_whatever_is_wrong_with_it(
    tmp_path: Path, password: str, form: str, place: tuple[str, str]
) -> None:
    section, key = place
    # A bare word in a setting that is shown is a word like any other.
    assume(form != "{}" or key in ("url", "rpc_url"))
    address = form.format(password)
    where = (section, 0, key) if section == "chains" else place
    try:
        config = load(tmp_path, toml(document({where: address})), {"PASSWORD": password})
    except ConfigError as error:
        told = "".join(traceback.format_exception(error)) + repr(error)
    else:
        told = repr(config) + str(asdict(config))
    assert HEAD not in told
    assert TAIL not in told
