"""Programs that run on: `creditd up` and its parts, from their start to whatever ends them."""

import json
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import psutil
import pytest
from command_line import (
    CONTRACT,
    SHUT,
    STOP_SECONDS_MAX,
    Running,
    Said,
    creditd,
    node,
    started,
    until,
    write_config,
)
from conftest import CHAIN_ID, earn
from fakechain import FakeChain, staked

ALICE = b"\xa1" * 20
TOKEN = 10**18
CREDIT = 1_000_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: an embedded server of another user could not get in."""
    path = Path(tempfile.mkdtemp(prefix="creditd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def chain_url() -> Iterator[str]:
    """A node whose chain has a stake that is two blocks deep, so confirmed."""
    chain = FakeChain()
    chain.mine(staked(CONTRACT, ALICE, TOKEN))
    chain.mine_empty(2)
    with node(chain) as url:
        yield url


def at_work(running: Running) -> str:
    """Wait until both parts do their work; gives the URL of the API."""
    running.wait_for("read", confirmed=1)
    return str(running.wait_for("listening")["url"])


def all_end(family: list[psutil.Process]) -> None:
    """Everything ends by itself, in the time that is promised."""
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS_MAX)
    assert alive == []


def part(running: Running, name: str) -> psutil.Process:
    return next(each for each in running.family() if each.cmdline()[-1] == name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_up_ends_its_parts(
    number: signal.Signals, chain_url: str, database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": chain_url})
    with started(
        "up", "--config", config, log_path=tmp_path / "log", database_url=database_url
    ) as up:
        url = at_work(up)
        assert httpx2.get(f"{url}/readyz").status_code == 200
        family = up.family()
        assert len(family) == 3
        up.process.send_signal(number)
        all_end(family)
        said = up.end()
    assert said.code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert "Traceback" not in said.err
    assert all(json.loads(line) for line in said.err.splitlines())
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/readyz")


@pytest.mark.parametrize(("name", "number"), [("watch", signal.SIGKILL), ("serve", signal.SIGTERM)])
def test_a_part_that_ends_ends_the_other_and_is_no_success(
    name: str, number: signal.Signals, chain_url: str, database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": chain_url})
    with started(
        "up", "--config", config, log_path=tmp_path / "log", database_url=database_url
    ) as up:
        at_work(up)
        family = up.family()
        part(up, name).send_signal(number)
        all_end(family)
        assert up.end().code not in {None, 0}
        assert [line["part"] for line in up.logged("a part ended: stopping the others")] == [name]


def test_a_part_that_cannot_start_ends_the_other_and_says_why(
    chain_url: str, database_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = write_config(tmp_path, {"fake": chain_url}, port=port)
        with started(
            "up", "--config", config, log_path=tmp_path / "log", database_url=database_url
        ) as up:
            said = up.end()
            said.refused(f"port {port}", "choose another port")
            assert "a part ended: stopping the others" in said.err
    assert left_of(config) == []


def test_a_price_list_with_a_mistake_makes_no_database(folder: Path) -> None:
    config = write_config(folder, {"fake": SHUT})
    config.with_name("prices.toml").write_text('[operations.report]\nbase = "-1"\n')
    before = sorted(folder.iterdir())
    creditd("up", "--config", config).refused("prices.toml", "report")
    assert sorted(folder.iterdir()) == before


def test_new_prices_are_charged_from_the_next_request_on(database_url: str, tmp_path: Path) -> None:
    earn(database_url, ALICE, 100 * CREDIT)
    config = write_config(tmp_path, {"fake": SHUT})
    prices = config.with_name("prices.toml")

    def applied(base: str) -> str:
        prices.write_text(f'[operations.report]\nbase = "{base}"\n', encoding="utf-8")
        said = creditd("prices", "apply", "--config", config, database_url=database_url)
        assert (said.code, said.err) == (0, "")
        return said.out

    assert applied("5") == "report: new, 5 (version 1, in force from now on)\n"
    made = creditd(
        *("key", "create", "--app", "shop", "--json", "--config", config),
        database_url=database_url,
    )
    with started(
        "serve", "--config", config, log_path=tmp_path / "log", database_url=database_url
    ) as serving:
        url = str(serving.wait_for("listening")["url"])
        headers = {"Authorization": f"Bearer {made.json['key']}"}
        with httpx2.Client(base_url=url, headers=headers) as api:

            def posted(path: str, key: str, body: object) -> httpx2.Response:
                answer = api.post(path, json=body, headers={"Idempotency-Key": key})
                assert answer.is_success, answer.text
                return answer

            wallet = {"wallet": {"chain_id": CHAIN_ID, "address": f"0x{ALICE.hex()}"}}
            charge = {
                "account": posted("/v1/accounts", "open", wallet).json()["id"],
                "operation": "report",
            }
            assert posted("/v1/charges", "old", charge).headers["Credits-Cost"] == "5"
            assert applied("7.5") == ("report: 5 → 7.5 (version 2, in force from now on)\n")
            assert posted("/v1/charges", "new", charge).headers["Credits-Cost"] == "7.5"
            (operation,) = api.get("/v1/operations").json()["data"]
            (price,) = operation["prices"]
            assert (price["base"], price["version"]) == ("7.5", 2)
            assert applied("7.5") == "1 price unchanged\n"
        serving.process.send_signal(signal.SIGINT)
        all_end([serving.process])
        assert serving.end().code == 0


def test_the_embedded_postgres_lives_as_long_as_somebody_uses_it(
    chain_url: str, folder: Path
) -> None:
    config = write_config(folder, {"fake": chain_url})

    def said(*words: str) -> Said:
        return creditd(*words, "--config", config, database_url=None)

    with up_on(config) as up:
        at_work(up)
        server = postgres(folder)
        for words in (["status", "--json"], ["audit", "--json"]):
            beside = said(*words)
            assert (beside.code, bool(beside.json)) == (0, True)
        assert postgres(folder) == server
        assert server.is_running()
        up.process.send_signal(signal.SIGTERM)
        all_end([*up.family(), server])
        assert up.end().code == 0
    alone = said("status", "--json")
    assert alone.json["chains"]["fake"]["confirmed"] == 1
    with up_on(config) as up:
        up.wait_for("leading", epoch=2)
        server = postgres(folder)
        family = up.family()
        up.process.kill()
        all_end([*family, server])


def test_an_embedded_postgres_that_was_never_finished_is_made_anew(
    chain_url: str, folder: Path
) -> None:
    config = write_config(folder, {"fake": chain_url})
    with up_on(config) as up:
        until(lambda: any(folder.glob(".creditd/postgres.unfinished-*")), "a server in the making")
        up.process.send_signal(signal.SIGTERM)
        all_end(up.family())
        assert up.end().code == 128 + signal.SIGTERM
    creditd("status", "--config", config).refused("DATABASE_URL", "creditd migrate")
    migrated = creditd("migrate", "--config", config)
    assert (migrated.code, migrated.err) == (0, "")
    assert [path.name for path in folder.glob(".creditd/*")] == ["postgres.users", "postgres"]


def up_on(config: Path) -> AbstractContextManager[Running]:
    """`creditd up` on an embedded server beside the configuration."""
    return started("up", "--config", config, log_path=config.with_name("log"), database_url=None)


def postgres(folder: Path) -> psutil.Process:
    """The embedded server of a folder, which runs."""
    text = (folder / ".creditd" / "postgres" / "postmaster.pid").read_text(encoding="utf-8")
    return psutil.Process(int(text.split()[0]))


def left_of(config: Path) -> list[psutil.Process]:
    """The processes that still run with a configuration."""
    return [
        each
        for each in psutil.process_iter(["cmdline"])
        if str(config) in (each.info["cmdline"] or [])
    ]
