"""Books and exports from before charges said by which API key they were made stay right."""

import asyncio
import io
from pathlib import Path

import pytest
from bookkeeper import Bookkeeper
from forged_exports import rows_of, sealed

import ledger
from ledger.audit import audit
from ledger.export import export
from ledger.migrate import migrate
from ledger.verify_export import Wrong, verify

MIGRATION = Path(ledger.__file__).parent / "sql" / "migrations" / "0012_charging_api_keys.sql"
# Made by the release before.
BEFORE_API_KEYS = Path(__file__).parent / "export_before_api_keys.jsonl"


def exported(database_url: str) -> list[bytes]:
    out = io.BytesIO()
    asyncio.run(export(database_url, out))
    return out.getvalue().splitlines(keepends=True)


def test_an_export_from_before_charges_said_their_api_key_is_still_right() -> None:
    lines = BEFORE_API_KEYS.read_bytes().splitlines(keepends=True)
    assert (verify(lines).entries, b"api_key" in b"".join(lines)) == (20, False)
    rows = rows_of(lines)
    charge = next(row for row in rows if row.get("kind") == 2)
    charge["api_key"] = 7
    with pytest.raises(Wrong, match="its hash is not of the last"):
        verify(sealed(rows))


def test_books_from_before_charges_said_their_api_key_keep_their_hashes(database_url: str) -> None:
    with Bookkeeper.at_work(database_url) as books:
        alice = books.open("alice")
        books.grant(alice, 100)
        books.charge(alice, 5)
        before = exported(database_url)
        books.connection.execute("alter table creditd.entry drop column api_key_id cascade")
        books.connection.execute(MIGRATION.read_text())
        books.connection.commit()
        migrate(database_url)
        books.charge_in_passing(alice, 7)
        books.charge(alice, 5)
        books.connection.commit()
        after = exported(database_url)
    assert verify(after, verify(before)).entries == 4
    by = [row.get("api_key") for row in rows_of(after) if row.get("kind") == 2]
    assert by == [None, 7, None]
    checks = {check.name: check for check in asyncio.run(audit(database_url)).checks}
    assert not checks["entries_are_chained"].breaches
