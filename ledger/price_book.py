"""The price book's rows: what a price list says, and what it changes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

from ledger.asking import Row
from ledger.errors import LedgerError

ANY_MODEL: Final = ""

ChangeKind = Literal[
    "new", "changed", "scheduled", "taken_back", "ended", "unchanged", "left", "past"
]
_WRITTEN: Final = frozenset({"new", "changed", "scheduled", "taken_back", "ended"})


class Tier(NamedTuple):
    """The price of each unit above so many, in micro-credits, up to where the next tier begins."""

    above: int
    per_unit_micro: int


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What a price says: a base, and for each unit the price of the tier that it falls into.

    Units up to the first tier cost `per_unit_micro` each. Tiers stand in the order of their units.
    """

    base_micro: int
    per_unit_micro: int
    unit: str
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A price of a list: an operation's, for `model` or (ANY_MODEL) any without one of its own.

    It is in force from `effective_at` on (None: from now on, if it is not already) until the list's
    next one of this operation and model. Micro-credits; `tiers` as in PriceTerms.
    """

    operation: str
    base_micro: int
    per_unit_micro: int
    unit: str
    model: str = ANY_MODEL
    tiers: tuple[Tier, ...] = ()
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BookPrice:
    """A price of the book: in force from `effective_at` until `ends_at` (None: for ever)."""

    operation_id: int
    operation: str
    model: str
    version: int
    terms: PriceTerms
    effective_at: datetime
    ends_at: datetime | None
    is_in_force: bool

    @classmethod
    def of(cls, row: Row) -> "BookPrice":
        """Return a row of the table, with the name of its operation."""
        tiers = tuple(map(Tier, row.tier_above, row.tier_per_unit))
        return cls(
            operation_id=row.operation_id,
            operation=row.operation,
            model=row.model,
            version=row.version,
            terms=PriceTerms(row.base, row.per_unit, row.unit, tiers),
            effective_at=row.effective_at,
            ends_at=row.ends_at,
            is_in_force=row.is_in_force,
        )


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What a price list changes of one price, by `kind`.

    "new" and "changed" are in force from `begins` on, "scheduled" will be. "taken_back" were to
    begin later and never do, "ended" were in force until now. "unchanged" is in the list too,
    "left" is not and stays. "past" is refused: it is not in force, and says that it began before.

    `version` is None for what is not written. `was` is what the book says, `terms` what the list
    does; None where it says nothing.
    """

    operation: str
    model: str
    kind: ChangeKind
    version: int | None
    begins: datetime
    terms: PriceTerms | None
    was: PriceTerms | None

    @property
    def changed(self) -> bool:
        """Whether the book says something else now than before."""
        return self.kind in _WRITTEN


def price_list_as_json(prices: Sequence[PriceRow]) -> str:
    """Return a price list as `creditd.apply_prices` takes it. Raises LedgerError: it is none."""
    seen: set[tuple[str, str, datetime | None]] = set()
    for price in prices:
        above = [0, *(tier.above for tier in price.tiers)]
        if any(later <= earlier for earlier, later in pairwise(above)):
            raise LedgerError(f"{price.operation}: tiers stand in the order of their units")
        place = (price.operation, price.model, price.effective_at)
        if place in seen:
            raise LedgerError(f"{price.operation}: two prices begin at the same moment")
        if price.effective_at is not None and price.effective_at.tzinfo is None:
            raise LedgerError(f"{price.operation}: a time is one moment only with its zone")
        seen.add(place)
    return json.dumps([_as_json(price) for price in prices])


def _as_json(price: PriceRow) -> dict[str, object]:
    at = price.effective_at
    return {
        "operation": price.operation,
        "model": price.model,
        "base": price.base_micro,
        "per_unit": price.per_unit_micro,
        "unit": price.unit,
        "tier_above": [tier.above for tier in price.tiers],
        "tier_per_unit": [tier.per_unit_micro for tier in price.tiers],
        "effective_at": None if at is None else at.isoformat(),
    }


def price_change(row: tuple[Any, ...]) -> PriceChange:
    """Return a row of `creditd.apply_prices`."""
    operation, model, kind, version, begins, *rest = row
    return PriceChange(
        operation, model, kind, version, begins, price_terms(*rest[:5]), price_terms(*rest[5:])
    )


def price_terms(
    base: int | None,
    per_unit: int,
    unit: str,
    tier_above: Sequence[int],
    tier_per_unit: Sequence[int],
) -> PriceTerms | None:
    """Return what the columns of a price say, None where there is none."""
    if base is None:
        return None
    tiers = tuple(map(Tier, tier_above, tier_per_unit))
    return PriceTerms(base, per_unit, unit, tiers)
