"""The operations and their prices in force."""

from api.calling.calls import Answer, Call, Parts
from api.pricing import wire
from api.shapes import NoBody, NoQuery
from ledger.credits import format_credits


async def list_operations(parts: Parts, _call: Call[NoBody, NoQuery]) -> Answer:
    """Return every operation that has a price."""
    rows = await parts.reading.operations()
    return Answer(
        200,
        wire.OperationList(
            [
                wire.Operation(
                    operation=row.operation,
                    version=row.version,
                    base=format_credits(row.base_micro),
                    per_unit=format_credits(row.per_unit_micro),
                    unit=row.unit,
                    effective_at=row.effective_at,
                )
                for row in rows
            ]
        ),
    )
