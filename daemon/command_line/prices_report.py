"""What `creditd prices` prints."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ledger.credits import format_credits
from ledger.price_book import BookPrice, PriceChange, PriceTerms


def changes_as_text(changes: Sequence[PriceChange], *, dry_run: bool) -> str:
    """Return what a price list changes, a line for each price that it does not leave as it is."""
    lines = [_line(change, dry_run=dry_run) for change in changes if change.kind != "unchanged"]
    unchanged = sum(change.kind == "unchanged" for change in changes)
    if unchanged:
        lines.append(f"{unchanged} {'price' if unchanged == 1 else 'prices'} unchanged")
    if dry_run:
        lines.append("nothing is written")
    return "\n".join(lines)


def changes_as_json(changes: Sequence[PriceChange], *, dry_run: bool) -> str:
    """Return what a price list changes as JSON; amounts are decimal strings of credits."""
    listed = [
        {
            "operation": change.operation,
            "model": change.model or None,
            "change": change.kind,
            "version": change.version,
            "begins": _utc(change.begins),
            "was": None if change.was is None else _terms(change.was),
            "price": None if change.terms is None else _terms(change.terms),
        }
        for change in changes
    ]
    return json.dumps({"dry_run": dry_run, "changes": listed}, indent=2)


def refusal_of(changes: Sequence[PriceChange]) -> str | None:
    """Return why a price list cannot be put in force, None if it can."""
    past = [change for change in changes if change.kind == "past"]
    lines = [
        f"{_name(change)}: is not in force as it stands in the list, and the list says that it"
        f" began at {_utc(change.begins)}: a price never begins before now, so leave effective_at"
        " out, or name a later moment"
        for change in past
    ]
    return "\n".join([*lines, "nothing was written"]) if lines else None


def prices_as_text(prices: Sequence[BookPrice]) -> str:
    """Return prices of the book, a line each."""
    lines = []
    for price in prices:
        until = "" if price.ends_at is None else f" until {_utc(price.ends_at)}"
        lines.append(
            f"{_name(price)}: {shown(price.terms)} (version {price.version},"
            f" {'since' if price.is_in_force else 'from'} {_utc(price.effective_at)}{until})"
        )
    return "\n".join(lines or ["no operation has a price"])


def prices_as_json(prices: Sequence[BookPrice]) -> str:
    """Return prices of the book as JSON; amounts are decimal strings of credits."""
    listed = [
        {
            "operation": price.operation,
            "model": price.model or None,
            "version": price.version,
            "price": _terms(price.terms),
            "effective_at": _utc(price.effective_at),
            "ends_at": None if price.ends_at is None else _utc(price.ends_at),
            "in_force": price.is_in_force,
        }
        for price in prices
    ]
    return json.dumps({"prices": listed}, indent=2)


def shown(terms: PriceTerms) -> str:
    """Return a price for people: "5 + 2 a page, 1 above 1,000"."""
    parts = []
    if terms.base_micro or not (terms.per_unit_micro or terms.tiers):
        parts.append(format_credits(terms.base_micro))
    if terms.per_unit_micro or terms.tiers:
        parts.append(f"{format_credits(terms.per_unit_micro)} a {terms.unit}")
    above = [
        f", {format_credits(tier.per_unit_micro)} above {tier.above:,}" for tier in terms.tiers
    ]
    return " + ".join(parts) + "".join(above)


def _line(change: PriceChange, *, dry_run: bool) -> str:
    name, begins = _name(change), _utc(change.begins)
    was = "" if change.was is None else shown(change.was)
    terms = "" if change.terms is None else shown(change.terms)
    # Until it is written, a new price has no version.
    version = "" if dry_run else f"version {change.version}, "
    said: dict[str, str] = {
        "new": f"new, {terms} ({version}in force from now on)",
        "changed": f"{was} → {terms} ({version}in force from now on)",
        "scheduled": f"{f'{was} → ' if was else ''}{terms} ({version}in force from {begins} on)",
        "taken_back": f"{was} from {begins} on is taken back (version {change.version})",
        "ended": f"ends now, {was} (version {change.version})",
        "left": f"not in the list, stays: {was} (version {change.version}, from {begins} on)",
    }
    return f"{name}: {said[change.kind]}"


def _name(price: BookPrice | PriceChange) -> str:
    return f"{price.operation} ({price.model})" if price.model else price.operation


def _terms(terms: PriceTerms) -> dict[str, Any]:
    return {
        "base": format_credits(terms.base_micro),
        "per_unit": format_credits(terms.per_unit_micro),
        "unit": terms.unit,
        "tiers": [
            {"above": tier.above, "per_unit": format_credits(tier.per_unit_micro)}
            for tier in terms.tiers
        ],
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
