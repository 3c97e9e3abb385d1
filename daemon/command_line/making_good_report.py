"""What `creditd verify`, `replay` and `set-aside` print."""

import json
from collections.abc import Sequence
from typing import Any

from daemon.rereading.making_good import Replayed, Verified
from ledger.causes import EventIdentity
from ledger.credits import format_credits
from ledger.ids import AccountRef, format_account
from ledger.late import AsideRow, RecordedEvent
from ledger.watching import EARNS, SeenEvent


def verified_as_json(verified: Verified) -> str:
    """Return what was found, for scripts. Amounts are base units, credits decimal strings."""
    found = verified.differences
    return json.dumps(
        {
            "chain": verified.chain,
            "from": verified.first,
            "to": verified.last,
            "differs": found.any,
            "admitted": verified.admitted,
            "missing": [_seen(each) for each in found.missing],
            "not_on_chain": [_recorded(each) for each in found.not_on_chain],
            "changed": [
                {"books": _recorded(each.recorded), "chain": _seen(each.seen)}
                for each in found.changed
            ],
            "other_blocks": [
                {"block": number, "books": _hex(ours), "chain": _hex(theirs)}
                for number, ours, theirs in found.other_blocks
            ],
        },
        indent=2,
    )


def verified_as_text(verified: Verified) -> str:
    """Return what was found, for people."""
    found = verified.differences
    what = f"{verified.chain}, blocks {verified.first} to {verified.last}"
    if not found.any:
        return f"{what}: the chain says what the books say"
    lines = [f"{what}: {found.said()}"]
    lines += [
        f"  missing: {_identity(each).said} in block {each.block_number}:"
        f" {each.amount} base units for {_hex(each.wallet)}, {format_credits(each.credits)} credits"
        for each in found.missing
    ]
    lines += [
        f"  not on the chain: {_identity(each).said}, in the books in block"
        f" {each.block_number}: {_granted(each)}"
        for each in found.not_on_chain
    ]
    lines += [
        f"  told otherwise: {_identity(each.recorded).said}: the books have"
        f" {each.recorded.amount} for {_hex(each.recorded.wallet)} in block"
        f" {each.recorded.block_number}, the chain {each.seen.amount} for"
        f" {_hex(each.seen.wallet)} in block {each.seen.block_number}"
        for each in found.changed
    ]
    lines += [
        f"  another block {number}: the books {_hex(ours)}, the chain {_hex(theirs)}"
        for number, ours, theirs in found.other_blocks
    ]
    if verified.admitted:
        lines.append(f"{verified.admitted} missing event(s) have been entered and granted")
    elif found.missing:
        lines.append("remedy: the same with --repair enters what is missing, and grants it")
    if found.not_on_chain or found.changed or found.other_blocks:
        lines.append(
            "remedy: ask another node (--rpc) or an explorer first. If the books are wrong, freeze"
            " the accounts and take the credits back by hand: nothing final is rewritten"
        )
    return "\n".join(lines)


def replayed_as_json(replayed: Replayed, listed_max: int | None = None) -> str:
    """Return what became of logs that were set aside, for scripts.

    At most `listed_max` of those that stay are listed (None: all), and all are counted.
    """
    return json.dumps(
        {
            "admitted": replayed.admitted,
            "kept_count": len(replayed.kept),
            "kept": [_kept(row, reason) for row, reason in replayed.kept[:listed_max]],
            "trouble": replayed.trouble,
        },
        indent=2,
    )


def replayed_as_text(replayed: Replayed, listed_max: int | None = None) -> str:
    """Return what became of logs that were set aside, for people; `listed_max` as above."""
    lines = [f"{replayed.admitted} log(s) were entered and granted, {len(replayed.kept)} stay"]
    lines += [f"  {_where(row)}: {reason}" for row, reason in replayed.kept[:listed_max]]
    return "\n".join(lines)


def aside_as_json(rows: Sequence[AsideRow]) -> str:
    """Return logs that are set aside, for scripts."""
    return json.dumps({"set_aside": [_aside(row) for row in rows]}, indent=2)


def aside_as_text(rows: Sequence[AsideRow]) -> str:
    """Return logs that are set aside, for people."""
    if not rows:
        return "no log is set aside"
    return "\n".join(f"{row.source}: {_where(row)}: {row.reason}" for row in rows)


def _kept(row: AsideRow, reason: str) -> dict[str, Any]:
    # As the operator's port lists it: there, what is no log has a transaction's place, too.
    listed_as = {"tx_hash": _hex(row.tx_hash), "ordinal": row.ordinal}
    return {**_aside(row), "reason": reason, "listed_as": listed_as}


def _where(row: AsideRow) -> str:
    pending = "" if row.is_final else ", not confirmed yet"
    return f"{row.chain} block {row.block_number}{pending}, {_identity(row).said}"


def _aside(row: AsideRow) -> dict[str, Any]:
    return {
        "chain": row.chain,
        "source": row.source,
        "block": row.block_number,
        "block_hash": _hex(row.block_hash),
        **_known_by(row),
        "contract": _hex(row.address),
        "topics": [_hex(topic) for topic in row.topics],
        "data": _hex(row.data),
        "reason": row.reason,
        "seen_at": row.seen_at.isoformat(),
        "final": row.is_final,
    }


def _seen(event: SeenEvent) -> dict[str, Any]:
    return {
        "block": event.block_number,
        **_known_by(event),
        "wallet": _hex(event.wallet),
        "amount": str(event.amount),
        "credits": format_credits(event.credits),
    }


def _recorded(event: RecordedEvent) -> dict[str, Any]:
    return {
        "block": event.block_number,
        "block_hash": _hex(event.block_hash),
        **_known_by(event),
        "source": event.source,
        "wallet": _hex(event.wallet),
        "amount": str(event.amount),
        "granted": format_credits(event.granted),
        "account": _account(event),
        "grant": event.lot_no,
    }


def _identity(of: SeenEvent | RecordedEvent | AsideRow) -> EventIdentity:
    """Return what it is known by on its chain, which is named beside it."""
    return EventIdentity(0, of.tx_hash, of.ordinal, EARNS)


def _known_by(of: SeenEvent | RecordedEvent | AsideRow) -> dict[str, Any]:
    """Return what it is known by, in the words that receivers are told of grants in."""
    identity = _identity(of)
    said: dict[str, Any] = {
        "tx_hash": None if identity.tx_hash is None else _hex(identity.tx_hash),
        "log": identity.place,
    }
    if identity.period_end is not None:
        said["period_end"] = identity.period_end.isoformat()
    if identity.reward is not None:
        said["reward"] = identity.reward.kind
        if identity.reward.hash is None:
            said["reward_index"] = identity.reward.index
        else:
            said["reward_hash"] = _hex(identity.reward.hash)
    return said


def _granted(event: RecordedEvent) -> str:
    account = _account(event)
    if account is None:
        return "nothing was granted yet, as it waits for a later block"
    return f"{format_credits(event.granted)} credits were granted to {account}"


def _account(event: RecordedEvent) -> str | None:
    if event.root_id is None or event.account_id is None:
        return None
    return format_account(AccountRef(event.root_id, event.account_id))


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
