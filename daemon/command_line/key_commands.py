"""The commands that make, list, replace and end API keys."""

import asyncio
import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from api.identity.keys import NewApiKey, new_api_key
from daemon.command_line.configured import config_of
from daemon.processes.postgres import database
from ledger.api_key_terms import ApiKeyKind, ApiKeyTerms
from ledger.api_keys import (
    SELF_SERVICE_APP,
    ApiKeyReplaced,
    ApiKeyRotated,
    NoSuchApiKey,
    RotateOutcome,
)
from ledger.credits import format_credits
from ledger.errors import LedgerError
from ledger.ids import format_account
from ledger.operating import Operating
from ledger.reading import PAGE_MAX, ApiKeyRecord, Reading
from ledger.scopes import NEVER_BY_DEFAULT, OPERATOR_SCOPES, PERSONAL_SCOPES, SCOPES

_SCOPES: Final[Mapping[ApiKeyKind, frozenset[str]]] = MappingProxyType(
    {
        "app": frozenset(SCOPES),
        "personal": PERSONAL_SCOPES,
        "operator": frozenset(OPERATOR_SCOPES),
    }
)


def key_create(options: Namespace) -> int:
    """Make an API key and show it once."""
    kind: ApiKeyKind = "app"
    if options.operator:
        kind = "operator"
    elif options.account is not None:
        kind = "personal"
    scopes = set(options.scope or _SCOPES[kind] - NEVER_BY_DEFAULT)
    if not scopes <= _SCOPES[kind]:
        wanted = ", ".join(sorted(_SCOPES[kind]))
        raise LedgerError(f"an API key of this kind has scopes of {wanted}")
    if len({cap.period for cap in options.cap}) < len(options.cap):
        raise LedgerError("give one --cap for a period")
    key = new_api_key(kind)
    terms = ApiKeyTerms(
        scopes=sorted(scopes),
        operations=None if options.operation is None else sorted(set(options.operation)),
        caps=options.cap,
        rate=options.rate,
        expires_at=_expires_at(options),
    )

    async def run(url: str) -> int:
        async with Operating.open(url) as operating:
            return await operating.create_api_key(
                terms,
                key.secret,
                kind=kind,
                app=options.app or SELF_SERVICE_APP,
                account=options.account,
            )

    with database(config_of(options).database, os.environ) as url:
        key_id = asyncio.run(run(url))
    whose = {
        "app": options.app,
        "account": None if options.account is None else format_account(options.account),
        "operator": options.operator,
    }
    of = "for operators" if options.operator else f"of {options.app or whose['account']}"
    _show_once(options, key_id, key, of, whose)
    return 0


def key_list(options: Namespace) -> int:
    """Show API keys, newest first."""

    async def run(url: str) -> list[ApiKeyRecord]:
        found: list[ApiKeyRecord] = []
        async with Reading.open(url, role="creditd_operator") as reading:
            while True:
                before = found[-1].api_key.key_id if found else None
                page = await reading.api_keys(
                    options.app or options.account, before=before, limit=PAGE_MAX
                )
                found += page
                if len(page) < PAGE_MAX:
                    return found

    with database(config_of(options).database, os.environ) as url:
        records = asyncio.run(run(url))
    if options.json:
        print(json.dumps({"api_keys": [_json(record) for record in records]}))
    for record in [] if options.json else records:
        print(_line(record))
    return 0


def key_show(options: Namespace) -> int:
    """Show all that is known of an API key."""

    async def run(url: str) -> ApiKeyRecord | None:
        async with Reading.open(url, role="creditd_operator") as reading:
            return await reading.api_key_record(options.number)

    with database(config_of(options).database, os.environ) as url:
        record = asyncio.run(run(url))
    if record is None:
        raise _none_such(options.number)
    if options.json:
        print(json.dumps(_json(record)))
    else:
        for name, value in _json(record).items():
            said = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"{name.replace('_', ' '):<13} {'none' if said in (None, '') else said}")
    return 0


def key_rotate(options: Namespace) -> int:
    """Make an API key's successor and show it once."""

    async def run(url: str) -> tuple[RotateOutcome, NewApiKey]:
        async with Reading.open(url, role="creditd_operator") as reading:
            record = await reading.api_key_record(options.number)
        key = new_api_key("app" if record is None else record.api_key.kind)
        async with Operating.open(url) as operating:
            outcome = await operating.rotate_api_key(
                options.number,
                key.secret,
                overlap=options.overlap,
                expires_at=_expires_at(options),
            )
        return outcome, key

    with database(config_of(options).database, os.environ) as url:
        outcome, key = asyncio.run(run(url))
    match outcome:
        case ApiKeyRotated(key_id, old_ends_at):
            ends = old_ends_at.isoformat(timespec="seconds")
            more = {"replaces": options.number, "old_ends_at": ends}
            of = f"in place of {options.number}, which is good until {ends}"
            _show_once(options, key_id, key, of, more)
            return 0
        case ApiKeyReplaced(by):
            told = f"has a successor already: rotate {by}"
        case NoSuchApiKey():
            raise _none_such(options.number)
        case _:
            told = "has ended: make a new one with `creditd key create`"
    raise LedgerError(f"API key {options.number} {told}")


def key_revoke(options: Namespace) -> int:
    """End an API key."""

    async def run(url: str) -> bool:
        async with Operating.open(url) as operating:
            return await operating.revoke_api_key(options.number)

    with database(config_of(options).database, os.environ) as url:
        revoked = asyncio.run(run(url))
    if not revoked:
        raise LedgerError(f"no API key {options.number} is in force: see `creditd key list`")
    print(f"API key {options.number} is revoked")
    return 0


def _expires_at(options: Namespace) -> datetime | None:
    return None if options.expires is None else datetime.now(UTC) + options.expires


def _none_such(number: int) -> LedgerError:
    return LedgerError(f"there is no API key {number}: see `creditd key list`")


def _show_once(
    options: Namespace, key_id: int, key: NewApiKey, of: str, more: Mapping[str, object]
) -> None:
    if options.json:
        print(json.dumps({"key_id": key_id, **more, "key": key.text}))
    else:
        print(f"API key {key_id} {of}, shown this once:\n\n  {key.text}\n")


def _json(record: ApiKeyRecord) -> dict[str, Any]:
    row = record.api_key
    return {
        "key_id": row.key_id,
        "hint": record.hint,
        "kind": row.kind,
        "app": row.app,
        "account": None if row.account is None else format_account(row.account),
        "state": record.state,
        "scopes": sorted(row.scopes),
        "operations": None if row.operations is None else sorted(row.operations),
        "caps": [
            f"{format_credits(cap.used)} of {format_credits(cap.amount)}/{cap.period}"
            for cap in record.caps
        ],
        "rate": None if row.rate is None else f"{row.rate.requests} in {row.rate.seconds} s",
        "created_at": _time(record.created_at),
        "expires_at": _time(row.expires_at),
        "revoked_at": _time(row.revoked_at),
        "replaced_by": record.replaced_by,
        "made_by": record.made_by,
        "last_used_at": _time(record.last_used_at),
        "charges": record.charges,
        "spent": format_credits(record.spent),
        "refunded": format_credits(record.refunded),
    }


def _line(record: ApiKeyRecord) -> str:
    said = _json(record)
    whose = said["account"] or (said["app"] if said["kind"] == "app" else "operators")
    parts = [
        f"{said['key_id']:>4}  {said['hint']:<9} {said['state']:<8} {whose}",
        " ".join(said["scopes"]),
        f"spent {said['spent']}" + "".join(f", {cap}" for cap in said["caps"]),
        f"last used {said['last_used_at'] or 'never'}",
    ]
    if said["operations"] is not None:
        parts.append(f"for {' '.join(said['operations'])}")
    if said["rate"]:
        parts.append(f"at most {said['rate']}")
    if said["expires_at"]:
        parts.append(f"expires {said['expires_at']}")
    return "; ".join(parts)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "key create": key_create,
        "key list": key_list,
        "key show": key_show,
        "key rotate": key_rotate,
        "key revoke": key_revoke,
    }
)
