"""Exports taken apart and put together again, as somebody would who forges one."""

import copy
import hashlib
import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]


def rows_of(lines: Sequence[bytes]) -> list[Row]:
    return [json.loads(line) for line in lines]


def sealed(rows: Sequence[Row], *, counted: bool = False) -> list[bytes]:
    """The rows as lines, under a digest of their own, as if they had been exported so."""
    said = [copy.copy(row) for row in rows]
    if counted:
        for name, row in (("accounts", "account"), ("entries", "entry"), ("lots", "lot")):
            said[-1][name] = sum(each["row"] == row for each in said)
    lines = [json.dumps(row).encode() + b"\n" for row in said[:-1]]
    said[-1]["sha256"] = hashlib.sha256(b"".join(lines)).hexdigest()
    return [*lines, json.dumps(said[-1]).encode() + b"\n"]


def chained(rows: Sequence[Row]) -> list[bytes]:
    """The rows with all hashes made anew, as somebody would who rewrites history with care."""
    said = [copy.copy(row) for row in rows]
    ids, head = (0, 0), b""
    for row in said:
        if row["row"] == "account":
            ids = (row["root"], row["account"])
            head = hashlib.sha256(struct.pack(">qq", *ids)).digest()
        elif row["row"] == "entry":
            names = (
                *("seq", "kind", "amount", "available_after", "held_after", "debt_after", "lot"),
                *("movement", "total", "refers_to", "peer_root", "peer_account", "member", "app"),
                *("operation", "units", "price_version"),
            )
            since = datetime.fromisoformat(row["at"]) - datetime(2000, 1, 1, tzinfo=UTC)
            at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            numbers = struct.pack(">20q", *ids, *(row.get(name, -1) for name in names), at)
            digests = bytes.fromhex(row.get("key", "00" * 16) + row.get("request", "00" * 16))
            by = struct.pack(">q", row["api_key"]) if "api_key" in row else b""
            head = hashlib.sha256(head + numbers + digests + by).digest()
            row["hash"] = head.hex()
        elif row["row"] == "head":
            row["head"] = head.hex()
    return sealed(said, counted=True)
