"""What commands print, for people and for scripts, and what their exit codes say."""

import subprocess
from pathlib import Path

import psycopg
from command_line import CHAIN_ID, PATIENCE_SECONDS, SHUT, Said, command, creditd, write_config
from conftest import earn, run


def test_status_tells_scripts_whether_every_configured_chain_is_well(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})

    def status(*options: str) -> Said:
        return creditd("status", "--config", config, *options, database_url=database_url)

    never = status("--json")
    assert never.code == 1
    assert "creditd watch" in never.json["chains"]["fake"]["trouble"]
    earn(database_url, b"\xaa" * 20, 1_000_000)
    well = status("--json")
    assert (well.code, well.json["well"]) == (0, True)
    assert well.json["chains"][f"chain-{CHAIN_ID}"]["indexed"] == 0

    run(database_url, "update creditd.chain set leader_seen_at = now() - interval '1 hour'")
    silent = status()
    assert silent.code == 1
    assert "no watcher has been seen for 36" in silent.out
    run(
        database_url,
        "update creditd.chain set leader_seen_at = now(), state = 'halted', reason = '[red]why'",
    )
    halted = status()
    assert halted.code == 1
    assert f"chain-{CHAIN_ID}: halted: [red]why" in halted.out


def test_a_chain_that_is_not_configured_any_more_alarms_nobody(
    database_url: str, tmp_path: Path
) -> None:
    earn(database_url, b"\xaa" * 20, 1_000_000)
    earn(database_url, b"\xaa" * 20, 1_000_000, chain_id=CHAIN_ID + 1)
    run(
        database_url,
        "update creditd.chain set leader_seen_at = now() - interval '1 hour'"
        f" where chain_id = {CHAIN_ID + 1}",
    )
    config = write_config(tmp_path, {"fake": SHUT})
    said = creditd("status", "--config", config, database_url=database_url)
    assert said.code == 0
    assert "not in this configuration" in said.out


def test_an_audit_answers_scripts_with_json_and_people_with_lines(
    database_url: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, {"fake": SHUT})
    earn(database_url, b"\xaa" * 20, 1_000_000)
    well = creditd("audit", "--config", config, "--json", database_url=database_url)
    assert (well.code, well.json["balanced"], well.json["accounts"]) == (0, True, 1)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table creditd.account disable trigger all")
        connection.execute("update creditd.account set head_left = head_left - 1")
    breached = creditd("audit", "--config", config, database_url=database_url)
    assert breached.code == 1
    assert "BREACH" in breached.out


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen(
        command("config", "example"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(PATIENCE_SECONDS) == 1


def test_a_key_is_shown_once_with_what_it_may_do(database_url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, {"fake": SHUT})
    made = creditd(
        *("key", "create", "--app", "shop", "--json", "--config", config),
        *("--scope", "balance:read", "--scope", "balance:read", "--expires-days", "90"),
        database_url=database_url,
    )
    assert made.code == 0
    assert made.json["app"] == "shop"
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select scopes, round(extract(epoch from expires_at - created_at) / 86400)::int"
            " from creditd.api_key"
        ).fetchall()
    assert rows == [(["balance:read"], 90)]
    assert made.json["key"].startswith("ck_")
