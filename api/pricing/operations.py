"""The operations and their prices."""

from itertools import groupby

from api.calling.asked import moment_asked
from api.calling.calls import Answer, Call, Parts
from api.calling.cursors import format_cursor, parse_cursor
from api.pricing import wire
from api.problems.refusals import NotPriced, Refused
from api.shapes import NoBody
from ledger.credits import format_credits
from ledger.price_book import BookPrice

KNOWN_OPERATIONS_MAX = 20  # enough to spot a typing mistake; GET /v1/operations has them all


async def list_operations(parts: Parts, call: Call[NoBody, wire.OperationsQuery]) -> Answer:
    """Return a page of the operations that have a price, by name."""
    asked = call.query
    after = None if asked.cursor is None else parse_cursor("operations", asked.cursor)
    at = moment_asked("at", asked.at)
    rows = await parts.reading.prices(at=at, after=after, limit=asked.limit + 1)
    numbers = list(dict.fromkeys(row.operation_id for row in rows))
    shown = numbers[: asked.limit]
    more = len(numbers) > asked.limit
    page = [row for row in rows if row.operation_id in set(shown)]
    next_cursor = format_cursor("operations", shown[-1]) if more else None
    return Answer(200, wire.OperationPage(_operations(page), next_cursor))


async def look_up(parts: Parts, call: Call[NoBody, wire.OperationQuery]) -> Answer:
    """Return one operation with its prices."""
    name = call.path["operation"]
    at = moment_asked("at", call.query.at)
    # Postgres knows no text with a zero in it.
    known = "\0" not in name
    rows = await parts.reading.prices(at=at, operation=name, limit=1) if known else []
    for operation in _operations(rows):
        return Answer(200, operation)
    raise Refused(NotPriced(name, await parts.reading.priced_operations(KNOWN_OPERATIONS_MAX)))


def _operations(rows: list[BookPrice]) -> list[wire.Operation]:
    operations = []
    for name, of_one in groupby(rows, key=lambda row: row.operation):
        prices = list(of_one)
        operations.append(
            wire.Operation(
                operation=name,
                prices=[_price(each) for each in prices if each.is_in_force],
                later=[_price(each) for each in prices if not each.is_in_force],
            )
        )
    return operations


def _price(row: BookPrice) -> wire.Price:
    terms = row.terms
    return wire.Price(
        model=row.model or None,
        version=row.version,
        base=format_credits(terms.base_micro),
        per_unit=format_credits(terms.per_unit_micro),
        tiers=[wire.Tier(tier.above, format_credits(tier.per_unit_micro)) for tier in terms.tiers],
        unit=terms.unit,
        effective_at=row.effective_at,
        ends_at=row.ends_at,
    )
