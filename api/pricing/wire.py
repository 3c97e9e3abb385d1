"""What travels of operations and their prices."""

from msgspec import Struct

from api.shapes import (
    Credits,
    OperationName,
    Utc,
)


class Operation(Struct, frozen=True):
    """An operation and its price in force: `base` plus `per_unit` for every unit."""

    operation: OperationName
    version: int
    base: Credits
    per_unit: Credits
    unit: str
    effective_at: Utc


class OperationList(Struct, frozen=True):
    """Every operation that has a price in force."""

    data: list[Operation]
