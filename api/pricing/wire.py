"""What travels of operations and their prices."""

from typing import Annotated

from msgspec import Meta, Struct

from api.shapes import Credits, ModelName, MomentAsked, OperationName, PageQuery, Utc


class OperationsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which page of the operations, by name, and as of which moment: now, if none is given."""

    at: MomentAsked | None = None


class OperationQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """As of which moment: now, if none is given."""

    at: MomentAsked | None = None


class Tier(Struct, frozen=True):
    """What each unit above so many costs, up to where the next tier begins."""

    above: int
    per_unit: Credits


class Price(Struct, frozen=True):
    """What so many units cost: `base`, and for each unit the price of the tier that it falls into.

    Units up to the first tier cost `per_unit` each. `model` is whose price it is; null: that of any
    model without one of its own. It is in force until `ends_at`; null: until further notice.
    """

    model: ModelName | None
    version: int
    base: Credits
    per_unit: Credits
    tiers: list[Tier]
    unit: str
    effective_at: Utc
    ends_at: Utc | None


class Operation(Struct, frozen=True):
    """An operation, its prices in force, one for each model that has one, and those to come."""

    operation: OperationName
    prices: list[Price]
    later: list[Price]


class OperationPage(Struct, frozen=True):
    """Operations that have a price, by name. `next_cursor` is null on the last page."""

    data: list[Operation]
    next_cursor: Annotated[str, Meta(max_length=200)] | None
