"""The command line: what it teaches, and what it says of every mistake."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import pytest
from command_line import (
    CHAIN_ID,
    SHUT,
    STOP_SECONDS_MAX,
    answering,
    contents,
    creditd,
    creditd_anew,
    edited,
    free_port,
    node,
    secrets_told,
    side_by_side,
    started,
    until,
    write_config,
)
from conftest import earn, fresh_database, run
from fakechain import FakeChain
from fakenode import Failure, Faults, Says, Status

from daemon.command_line.arguments import parser
from daemon.command_line.cli import EXPLAINED, MODULES, command_named
from ledger.versions import newest_version

TERMINAL_WIDTH = 80
TURNS = 3


@pytest.fixture(scope="module")
def books(server_url: str, template: str) -> Iterator[str]:
    """Books that the tests of this module share: whatever is refused must not write to them."""
    with fresh_database(server_url, template) as url:
        earn(url, b"\xaa" * 20, 1_000_000)
        before = contents(url)
        yield url
        assert contents(url) == before


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration without mistakes. Its prices are not there."""
    return write_config(tmp_path_factory.mktemp("config"), {"fake": SHUT})


def commands(
    of: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command of a parser, itself first."""
    yield words, of
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from commands(command, (*words, word))


def test_every_command_and_every_option_is_explained() -> None:
    for words, each in commands(parser({})):
        text = each.format_help()
        assert [line for line in text.splitlines() if len(line) > TERMINAL_WIDTH] == []
        assert each.description, words
        for action in each._actions:
            if isinstance(action, argparse._SubParsersAction):
                told = {choice.dest for choice in action._choices_actions if choice.help}
                assert told == set(action.choices), words
            else:
                assert action.help, (words, action.dest)


def test_every_command_is_carried_out_by_something() -> None:
    named = {" ".join(words): each for words, each in commands(parser({})) if words}
    carried_out = [name for name, each in named.items() if each.get_default("command")]
    assert {command_named(name).__module__ for name in carried_out} == {
        f"daemon.command_line.{module}" for module in MODULES.values()
    }
    assert {name.partition(" ")[0] for name in carried_out} == set(MODULES)


def test_every_error_that_explains_itself_is_where_it_is_looked_for() -> None:
    for module, name in EXPLAINED:
        error = getattr(import_module(module), name)
        assert issubclass(error, Exception), name
        assert error.__module__ == module


def test_help_needs_no_database_and_no_server() -> None:
    program = (
        "import sys; from daemon.command_line.cli import main; main(['key'])\n"
        "print(*{'sqlalchemy', 'psycopg', 'uvicorn', 'web3'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == ""
    assert "usage: creditd key" in said.stderr


@pytest.mark.parametrize("count", ["-1", "x", "1.5", "9999999999"])
def test_no_list_is_shorter_than_nothing(count: str) -> None:
    said = creditd("replay", "--source", "stakes", f"--list={count}")
    assert (said.code, said.out) == (2, "")
    assert "--list: must be a number, 0 or more" in said.err


def test_without_a_command_the_help_is_shown() -> None:
    said = creditd("key")
    assert (said.code, said.out) == (2, "")
    assert "usage: creditd key" in said.err
    assert "make an API key" in said.err
    asked = creditd("--help")
    assert (asked.code, asked.err) == (0, "")
    assert "first steps:" in asked.out


@pytest.mark.parametrize(
    "words",
    [
        *("account list", "chains", "exposure --json", "key rotate 99", "prices show"),
        *("reorg show fake", "set-aside --json", "webhooks status"),
    ],
)
def test_a_python_that_has_imported_nothing_says_the_same(
    words: str, config: Path, books: str
) -> None:
    arguments = [*words.split(), *(() if words == "chains" else ("--config", config))]
    anew = creditd_anew(*arguments, database_url=books)
    assert (anew.out or anew.err) != ""
    assert "Traceback" not in anew.err
    assert creditd(*arguments, database_url=books) == anew


def test_the_examples_have_no_mistakes(tmp_path: Path) -> None:
    example = creditd("config", "example").out
    piped = creditd_anew("--config", "/dev/stdin", "config", "check", stdin=example)
    assert (piped.code, piped.err) == (0, "")
    assert "1 chain, 2 sources, no mistakes" in piped.out
    assert "creditd config example --prices > " in piped.out
    config = tmp_path / "creditd.toml"
    config.write_text(example, encoding="utf-8")
    prices = creditd("config", "example", "--prices").out
    (tmp_path / "prices.toml").write_text(prices, encoding="utf-8")
    whole = creditd("config", "check", "--config", config)
    assert (whole.code, whole.err) == (0, "")
    assert "4 operations, no mistakes" in whole.out


def test_a_configuration_that_is_not_there_or_not_toml_is_named(
    tmp_path: Path, config: Path
) -> None:
    missing = tmp_path / "creditd.toml"
    creditd("up", "--config", missing).refused(f"creditd config example > {missing}")
    broken = edited(config, ('name = "fake"', "name = fake"))
    creditd("watch", "--config", broken).refused(str(broken), "line 4", "in quotes")


def test_every_mistake_of_a_configuration_is_told_at_once(config: Path) -> None:
    wrong = edited(
        config,
        ("port", "prot"),
        (SHUT, "ftp://me:s3cret@node"),
        ("decimals = 18", "decimals = 1000"),
    )
    said = creditd("config", "check", "--config", wrong)
    said.refused("api.prot", '"port"?', "chains[0].rpc_url", "http://", "rule.decimals", "0 to 77")
    assert len(said.err.splitlines()) == 3
    assert secrets_told(said.err) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("key create --app shop --scope grants:write", "charge:write"),
        (f"key create --app {'x' * 101}", "1 to 100"),
        ("key create --app \x1b[2J", "printable"),
        ("key create --app shop --expires-days -3", "1 to 3650"),
        ("key create --app shop --expires-days 0", "does not expire"),
        (f"key create --app shop --expires-days {'9' * 5000}", "1 to 3650"),
        ("audit --account acct_1", "acct_"),
        ("audit --account 0x00000000000000000000000000000000000000aa", "acct_"),
        ("prises apply", "prices"),
    ],
)
def test_a_mistyped_argument_is_refused_with_what_would_do(
    arguments: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser({}).parse_args(arguments.split(" "))
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_what_is_refused_on_good_books_leaves_them_as_they_are(
    config: Path, books: str, tmp_path: Path
) -> None:
    unknown = "acct_0000000000001"
    creditd("audit", "--config", config, "--account", unknown, database_url=books).refused(unknown)
    prices = config.with_name("prices.toml")
    said = creditd("prices", "apply", "--config", config, database_url=books)
    said.refused(f"creditd config example --prices > {prices}")
    sale = tmp_path / "sale.toml"
    sale.write_text('[operations.ping]\nbase = 1\nunti = "x"\n', encoding="utf-8")
    said = creditd("prices", "apply", sale, "--config", config, database_url=books)
    said.refused(f"{sale}: operations.ping.base", f"{sale}: operations.ping.unti", '"unit"?')
    sale.write_bytes(b"\xff\xfe")
    said = creditd("prices", "apply", sale, "--config", config, database_url=books)
    said.refused(str(sale), "UTF-8")


def test_up_with_mistakes_in_its_prices_does_not_even_migrate(
    tmp_path: Path, empty_database_url: str
) -> None:
    (tmp_path / "prices.toml").write_text("[operations]", encoding="utf-8")
    alone = write_config(tmp_path, {"fake": SHUT})
    creditd("up", "--config", alone, database_url=empty_database_url).refused("prices.toml")
    assert contents(empty_database_url) == {}


def test_every_command_says_that_there_are_no_books_yet(
    empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "prices.toml").write_text('[operations.ping]\nbase = "1"\n', encoding="utf-8")

    with node(FakeChain()) as url:
        config = write_config(tmp_path, {"fake": url})
        for said in side_by_side(
            lambda words: creditd(
                *words.split(), "--config", config, database_url=empty_database_url
            ),
            ["status", "audit", "key create --app a", "prices apply", "serve", "watch"],
        ):
            said.refused("creditd migrate")
    assert contents(empty_database_url) == {}


def refuse_password(asked: bytes) -> bytes:
    """Be a PostgreSQL that does not know the password."""
    match asked[:1], asked[4:8]:
        case _, b"\x04\xd2\x16\x2f" | b"\x04\xd2\x16\x30":  # asks for encryption
            return b"N"
        case b"p", _:
            fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
            return b"E" + (len(fields) + 4).to_bytes(4) + fields
    return b"R" + (8).to_bytes(4) + (3).to_bytes(4)  # asks for the password in clear


def test_a_database_that_cannot_be_used_is_named_without_its_password(config: Path) -> None:
    with answering(refuse_password) as guarded, answering(lambda _: b"HTTP/1.1 400 \r\n") as web:
        at = "postgresql://me:s3cret@127.0.0.1"
        tries = [
            ("status", f"{at}:{free_port()}/books", "Connection refused"),
            ("up", f"{at}:{free_port()}/books", "Connection refused"),
            ("audit", f"{at}:{guarded}/books", "password authentication failed"),
            ("migrate", f"{at}:{guarded}/books", "password authentication failed"),
            ("key create --app a", f"{at}:{web}/books", "invalid response"),
            ("status", "postgresql://me:s3cret @host/books", "%40 for @"),
            ("migrate", "mysql://me:s3cret@host/books", "must begin with postgresql://"),
        ]
        outcomes = side_by_side(
            lambda words, url, _: creditd(*words.split(), "--config", config, database_url=url),
            *zip(*tries, strict=True),
        )
        for said, (_, _, named) in zip(outcomes, tries, strict=True):
            said.refused(named)
            assert secrets_told(said.err) == []


def test_books_of_a_newer_version_are_left_to_the_newer_release(
    config: Path, database_url: str
) -> None:
    run(database_url, "update creditd.schema_version set version_num = '9999'")
    before = contents(database_url)
    for said in side_by_side(
        lambda word: creditd(word, "--config", config, database_url=database_url),
        ["migrate", "up", "status"],
    ):
        said.refused("9999", newest_version(), "newer")
    assert contents(database_url) == before


def test_a_port_that_is_taken_is_named(books: str, tmp_path: Path) -> None:
    with answering(bytes) as port:
        config = write_config(tmp_path, {"fake": SHUT}, port=port)
        creditd("serve", "--config", config, database_url=books).refused(str(port), "another port")


def test_watch_does_not_start_on_a_node_that_is_not_what_was_configured(
    books: str, tmp_path: Path
) -> None:
    with node(FakeChain(CHAIN_ID + 1)) as url:
        other = write_config(tmp_path, {"fake": url})
        said = creditd("watch", "--config", other, database_url=books)
        said.refused("chains.fake", str(CHAIN_ID), str(CHAIN_ID + 1), "correct chain_id or rpc_url")
    with node(FakeChain(), Faults(finalized_tag=False)) as url:
        untagged = write_config(tmp_path, {"fake": url}, confirmation='"finalized"')
        said = creditd("watch", "--config", untagged, database_url=books)
        said.refused("finalized", "not supported")


def test_watch_waits_for_nodes_that_do_not_answer_and_says_so_once(
    books: str, tmp_path: Path
) -> None:
    failing: dict[str, Failure] = {
        "html": Says(b"<html>welcome</html>"),
        "unauthorized": Status(401),
        "forbidden": Status(403),
    }
    faults = {name: Faults() for name in failing}
    with ExitStack() as stack:
        nodes = {"shut": "http://s3cret-user:s3cret-word@127.0.0.1:1/s3cret-path"}
        for name, failure in failing.items():
            faults[name].failures.extend([failure] * 10_000)
            nodes[name] = stack.enter_context(node(FakeChain(), faults[name]))
        config = write_config(tmp_path, nodes)
        watching = stack.enter_context(
            started("watch", "--config", config, log_path=tmp_path / "log", database_url=books)
        )
        for name in nodes:
            watching.wait_for("waiting", chain=name)
        asked = {name: len(each.requests) for name, each in faults.items()}
        until(
            lambda: all(len(each.requests) >= asked[name] + TURNS for name, each in faults.items()),
            "more turns",
        )
        began = time.monotonic()
        watching.process.send_signal(signal.SIGTERM)
        said = watching.end()
        assert time.monotonic() - began < STOP_SECONDS_MAX
    assert said.code == 0
    assert [line["event"] for line in watching.log()] == ["watching", *["waiting"] * len(nodes)]
    troubles = {line["chain"]: line["trouble"] for line in watching.logged("waiting")}
    assert "connection failed" in troubles["shut"]
    assert "not JSON-RPC; is this the URL of a node?" in troubles["html"]
    for name, status in (("unauthorized", 401), ("forbidden", 403)):
        assert f"HTTP status {status}; check the API key in its URL" in troubles[name]
    assert secrets_told(said.err) == []


def test_a_source_that_says_otherwise_than_the_books_does_not_start(
    database_url: str, tmp_path: Path
) -> None:
    chain = FakeChain()
    chain.mine_empty(3)
    with node(chain) as url:
        config = write_config(tmp_path, {"fake": url})
        log_path = tmp_path / "log"
        with started(
            "watch", "--config", config, log_path=log_path, database_url=database_url
        ) as watching:
            watching.wait_for("read")
            watching.process.send_signal(signal.SIGINT)
            assert watching.end().code == 0
        before = contents(database_url)
        moved = edited(config, ("c1c1", "c2c2"))
        said = creditd("watch", "--config", moved, database_url=database_url)
        said.refused("fake-stakes", "0x" + "c1" * 20, "a name of its own")
        late = edited(config, ("fake-stakes", "late-stakes"))
        said = creditd("watch", "--config", late, database_url=database_url)
        said.refused("late-stakes", "block 0", "block 3", "from_block")
        assert contents(database_url) == before
