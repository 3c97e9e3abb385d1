"""The commands about accounts, by the real program."""

import json
from dataclasses import dataclass
from pathlib import Path

from command_line import SHUT, creditd, write_config

NOBODY = "acct_0000000000007"


@dataclass(frozen=True)
class Books:
    """The books that a configuration names, and the program."""

    config: Path
    url: str

    def rows(self, *words: str) -> list[dict[str, object]]:
        said = creditd("--config", self.config, *words, "--json", database_url=self.url)
        assert said.code == 0, said
        found: list[dict[str, object]] = json.loads(said.out)
        return found

    def row(self, *words: str) -> dict[str, object]:
        (only,) = self.rows(*words)
        return only

    def refused(self, *words: str, because: str) -> None:
        creditd("--config", self.config, *words, database_url=self.url).refused(because)


def books(database_url: str, folder: Path) -> Books:
    found = Books(write_config(folder, {"fake": SHUT}), database_url)
    for app in ("shop", "printer"):
        said = creditd(
            *("--config", found.config, "key", "create", "--app", app), database_url=database_url
        )
        assert said.code == 0, said
    return found


def test_accounts_are_opened_listed_shown_and_frozen(database_url: str, tmp_path: Path) -> None:
    shop = books(database_url, tmp_path)
    of_alice = ("account", "open", "--app", "shop", "--name", "alice")
    first = shop.row(*of_alice)
    assert first["created"] is True
    assert shop.row(*of_alice) == {**first, "created": False}
    alice = str(first["account"])
    signed = ("--by", "ada", "--reason", "ticket 7")
    assert shop.row("account", "freeze", alice, *signed)["changed"] is True
    shown = shop.rows("account", "show", alice)
    assert (shown[0]["frozen"], shown[1]["by"], shown[1]["reason"]) == (True, "ada", "ticket 7")
    assert shop.row("account", "unfreeze", alice, *signed)["changed"] is True
    assert shop.row("account", "overdraft", alice, "2.5")["unused"] == "2.5"
    (listed,) = shop.rows("account", "list", "--app", "shop")
    assert (listed["account"], listed["kind"], listed["status"]) == (alice, "user", "open")
    shop.refused("account", "list", "--app", "nobody", because="no app is called nobody")
    shop.refused("account", "show", NOBODY, because=f"the books know no account {NOBODY}")
    shop.refused("account", "freeze", NOBODY, *signed, because=NOBODY)
    shop.refused("account", "overdraft", alice, "x", because="is not an amount of credits")


def test_organisations_members_and_budgets(database_url: str, tmp_path: Path) -> None:
    shop = books(database_url, tmp_path)
    app = ("--app", "shop")
    works = str(shop.row("organisation", "open", *app, "--name", "works")["account"])
    anna = str(shop.row("member", "add", works, *app, "--name", "anna")["account"])
    budget = shop.row("budget", "set", anna, *app, "--period", "month", "--amount", "100")
    assert budget == {"period": "month", "amount": "100", "used": "0"}
    assert shop.row("budget", "show", anna) == budget
    assert shop.rows("budget", "end", anna, *app, "--period", "month") == []
    assert shop.row("organisation", "list", *app)["account"] == works
    assert shop.row("member", "remove", anna, *app) == {"account": anna, "changed": True}
    (left,) = shop.rows("member", "list", works)
    assert (left["name"], left["status"]) == ("anna", "closed")
    shop.refused("member", "add", works, "--app", "printer", "--name", "eve", because=works)
    shop.refused("account", "open", *app, "--name", "x" * 201, because="1 to 200 characters")


def test_consents_are_given_listed_and_withdrawn(database_url: str, tmp_path: Path) -> None:
    shop = books(database_url, tmp_path)
    alice = str(shop.row("account", "open", "--app", "shop", "--name", "alice")["account"])
    by = ("--by", "ada")
    given = shop.row("consent", "give", alice, "--app", "printer", *by)
    assert given == {"number": 1, "app": "printer", "may": "spend", "changed": True}
    assert shop.row("consent", "withdraw", alice, "1", *by) == {"number": 1, "changed": True}
    (listed,) = shop.rows("consent", "list", alice)
    assert (listed["app"], listed["given_by"], listed["withdrawn_by"]) == ("printer", "ada", "ada")
    shop.refused("consent", "withdraw", alice, "9", *by, because="no such consent")
    shop.refused("consent", "give", alice, "--app", "shop", *by, because="without consent")
    shop.refused("consent", "give", alice, "--app", "nobody", *by, because="no app has this name")
