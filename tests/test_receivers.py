"""Receivers as the configuration names them and as the command line shows them."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from command_line import SHUT, creditd, write_config
from config_documents import ABSENT, document, load, toml

from daemon.configuration.config import Config, ConfigError, Mistake, Receiver, SecretUrl
from daemon.configuration.receivers import RECEIVERS_MAX
from daemon.jobs.watch import watch
from ledger.outbox import TOPICS, Dead, Outbox

NEW, OLD = b"n" * 32, b"o" * 24


def secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


RIGHT = {
    "name": "billing",
    "url": "https://billing.example/hook/$TOKEN",
    "secret": "$SECRET",
    "topics": ["balance.low", "debt.opened"],
}
ENVIRON = {"SECRET": secret(NEW), "TOKEN": "t0ken"}


def webhooks(*changes: Mapping[str, object]) -> dict[str, object]:
    told = [{**RIGHT, **change} for change in changes]
    kept = [{key: value for key, value in each.items() if value is not ABSENT} for each in told]
    return {**document(), "webhooks": kept}


def read(folder: Path, values: Mapping[str, object]) -> Config:
    return load(folder, toml(values), ENVIRON)


def mistakes(folder: Path, values: Mapping[str, object]) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigError) as caught:
        read(folder, values)
    return caught.value.mistakes


def test_nobody_need_be_told(tmp_path: Path) -> None:
    assert read(tmp_path, document()).webhooks == ()


def test_a_receiver_has_its_secrets_from_the_environment(tmp_path: Path) -> None:
    (receiver,) = read(tmp_path, webhooks({})).webhooks
    url = SecretUrl("https://billing.example/hook/t0ken")
    assert receiver == Receiver("billing", url, (NEW,), ("balance.low", "debt.opened"))


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("https://billing.example/", False),
        ("http://billing.example/", True),
        ("http://billing.example:8080/", True),
        ("http://10.0.0.7/", True),
        ("http://localhost.billing.example/", True),
        ("http://[2001:db8::1]:80/", True),
        ("http://localhost:8080/hook", False),
        ("http://127.0.0.1/", False),
        ("http://127.1.2.3:8080/", False),
        ("http://[::1]/", False),
        ("http://[::1]:8080/", False),
    ],
)
def test_what_others_could_read_on_the_way_is_warned_of(
    tmp_path: Path, url: str, is_warned: bool
) -> None:
    (receiver,) = read(tmp_path, webhooks({"url": url})).webhooks
    assert any("use https://" in each for each in receiver.cautions) == is_warned


def test_the_watcher_warns_at_its_start(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = read(tmp_path, webhooks({"url": "http://billing.example/hook/$TOKEN"}))
    stop = asyncio.Event()
    stop.set()
    asyncio.run(watch(replace(config, chains=()), database_url, stop))
    said = capsys.readouterr().out
    assert "less careful than could be" in said
    assert "t0ken" not in said


def test_an_old_secret_is_good_beside_the_new_one(tmp_path: Path) -> None:
    config = read(tmp_path, webhooks({"old_secret": secret(OLD), "topics": [*TOPICS]}))
    (receiver,) = config.webhooks
    assert receiver.secrets == (NEW, OLD)
    assert receiver.topics == tuple(TOPICS)


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        ({"name": "No Name"}, "name", "must be a name"),
        ({"name": ABSENT}, "name", "is missing"),
        ({"url": "ftp://billing.example/"}, "url", "must begin with https:// or http://"),
        ({"url": "https:///hook"}, "url", "must name one host"),
        ({"url": "$NOBODY"}, "url", "NOBODY"),
        ({"url": ABSENT}, "url", "is missing"),
        ({"secret": ABSENT}, "secret", "is missing"),
        ({"secret": "$NOBODY"}, "secret", "NOBODY"),
        ({"secret": secret(b"s" * 23)}, "secret", "must be"),
        ({"secret": secret(b"s" * 65)}, "secret", "must be"),
        ({"secret": secret(NEW).removeprefix("whsec_")}, "secret", "must be"),
        ({"secret": "whsec_!!"}, "secret", "must be"),
        ({"old_secret": "whsec_"}, "old_secret", "must be"),
        ({"topics": ABSENT}, "topics", "is missing"),
        ({"topics": []}, "topics", "must be an array of topics"),
        ({"topics": "balance.low"}, "topics", "must be an array of topics"),
        ({"topics": ["balance.lo"]}, "topics", 'did you mean "balance.low"?'),
        ({"topics": [1]}, "topics", "cannot name 1"),
        ({"topics": ["balance.low", "balance.low"]}, "topics", "twice"),
        ({"retries": 3}, "retries", "is not a setting here"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_secret(
    tmp_path: Path, change: Mapping[str, object], key: str, said: str
) -> None:
    ((place, message),) = mistakes(tmp_path, webhooks(change))
    assert place == f"webhooks[0].{key}"
    assert said in message
    for told in map(str, (*change.values(), *ENVIRON.values())):
        assert len(told) < 20 or told not in message


def test_two_receivers_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    ((place, _),) = mistakes(tmp_path, webhooks({}, {}))
    assert place == "webhooks[1].name"


def test_more_receivers_than_are_served_are_a_mistake(tmp_path: Path) -> None:
    many = webhooks(*({"name": f"r{number}"} for number in range(RECEIVERS_MAX + 1)))
    ((place, message),) = mistakes(tmp_path, many)
    assert place == "webhooks"
    assert str(RECEIVERS_MAX) in message


def test_the_command_line_shows_what_waits_and_what_is_dead(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})

    async def bury() -> None:
        async with Outbox.open(database_url) as outbox:
            number = (await outbox.enter({"billing": ["balance.low"]}))["billing"]
            with psycopg.connect(database_url, autocommit=True) as books:
                for _ in range(2):
                    books.execute("select creditd.announce(1, 1, 'balance.low', '{}')")
            (line,) = await outbox.due(number)
            await outbox.end(number, [(line[0], Dead("HTTP status 400"))])

    def status(*options: str) -> tuple[int, str]:
        asked: list[str | Path] = ["webhooks", "status", "--config", config, *options]
        said = creditd(*asked, database_url=database_url)
        return said.code, said.out

    assert status() == (0, "no receivers: name them under [[webhooks]]\n")
    asyncio.run(bury())
    code, shown = status()
    assert code == 1
    assert "billing: HTTP status 400" in shown
    code, shown = status("--json")
    assert (code, '"dead": 1' in shown, '"waiting": 1' in shown) == (1, True, True)
    said = creditd("webhooks", "retry", "billing", "--config", config, database_url=database_url)
    assert (said.code, said.out) == (0, "1 message of billing will be tried again\n")
    assert status("--json")[0] == 0
    mistyped = creditd("webhooks", "retry", "biling", "--config", config, database_url=database_url)
    mistyped.refused('did you mean "billing"?')
