"""The commands that make, list, replace and end API keys."""

from pathlib import Path
from typing import Any

import pytest
from command_line import SHUT, creditd, write_config
from live_api import live_api

from daemon.configuration.rates import parse_cap, parse_rate, parse_span
from ledger.api_key_terms import Cap, Rate


def test_an_api_key_is_made_used_listed_replaced_and_ended(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})

    def key(*words: str) -> dict[str, Any]:
        answer = creditd("key", *words, "--json", "--config", config, database_url=database_url)
        assert answer.code == 0, answer
        return answer.json

    made = key(
        *("create", "--app", "shop", "--scope", "charge:write", "--scope", "accounts:write"),
        *("--operation", "ping", "--cap", "10/day", "--rate", "100/min", "--expires", "90d"),
    )
    with live_api(database_url) as api:
        account = api.post("/v1/accounts", {"name": "a"}, api_key=made["key"]).json()["id"]
        body = {"account": account, "operation": "ping"}
        charged = api.post("/v1/charges", body, api_key=made["key"])
        assert charged.status_code == 201
        assert charged.headers["ratelimit-policy"] == '"api-key";q=100;w=60'
        personal = key("create", "--account", account)
        assert (personal["key"][:3], personal["account"]) == ("cp_", account)
        path = f"/v1/accounts/{account}/balance"
        assert api.request("GET", path, api_key=personal["key"]).status_code == 200
    listed = key("list", "--app", "shop")["api_keys"]
    first = listed[-1]
    assert first["key_id"] == made["key_id"]
    assert (first["state"], first["charges"], first["caps"]) == ("good", 1, ["0 of 10/day"])
    assert first["last_used_at"] is not None
    (mine,) = key("list", "--account", account)["api_keys"]
    assert (mine["kind"], mine["app"]) == ("personal", "creditd")
    assert "keys:write" not in mine["scopes"]
    rotated = key("rotate", str(made["key_id"]), "--overlap", "0s")
    old, new = key("show", str(made["key_id"])), key("show", str(rotated["key_id"]))
    assert (old["state"], old["replaced_by"]) == ("expired", rotated["key_id"])
    for name in ("scopes", "operations", "rate", "caps", "kind", "app"):
        assert old[name] == new[name]
    shown = creditd("key", "list", "--config", config, database_url=database_url)
    assert made["key"] not in shown.out
    assert rotated["key"] not in shown.out
    assert len(shown.out.splitlines()) == 4
    for number, told in ((made["key_id"], "successor"), (99, "no API key 99")):
        again = creditd("key", "rotate", str(number), "--config", config, database_url=database_url)
        assert (again.code, told in again.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--app", "creditd"), "give the app another name"),
        (("--account", "acct_0000000000001"), "no such account"),
        (("--account", "acct_0000000000001", "--scope", "accounts:attest"), "of this kind"),
        (("--app", "a", "--cap", "1/day", "--cap", "2/day"), "one --cap for a period"),
        (("--app", "a", "--cap", "1/year"), "periods are day, week, month, ever"),
        (("--app", "a", "--rate", "0/s"), "such as"),
        (("--app", "a", "--expires", "9999d"), "at most 3650d"),
        (("--app", "a", "--operator"), "not allowed with"),
    ],
)
def test_what_an_api_key_cannot_be_is_told(
    database_url: str, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})
    answer = creditd("key", "create", *words, "--config", config, database_url=database_url)
    assert answer.code == 2
    assert told in answer.err


def test_rates_caps_and_spans_are_read_as_people_write_them() -> None:
    assert parse_rate("600/min") == Rate(600, 60)
    assert parse_cap("0.5/week") == Cap("week", 500_000)
    assert parse_span("36h").total_seconds() == 36 * 3600
    for wrong in ("", "1", "-1/s", "1/d", "1.5/s", "٣/s", "9999999/s"):
        with pytest.raises(ValueError, match="such as"):
            parse_rate(wrong)
