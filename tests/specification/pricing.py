"""The price book: what so many units cost, and which price is in force when."""

from dataclasses import dataclass
from typing import Final

ANY_MODEL: Final = ""
FOREVER: Final = 2**100
Tiers = tuple[tuple[int, int], ...]  # (above so many units, so much for each)


@dataclass(frozen=True)
class Terms:
    """What a price says: `base`, and for each unit the price of the tier that it falls into."""

    base: int
    per_unit: int
    tiers: Tiers = ()

    def cost(self, units: int) -> int:
        steps = [(0, self.per_unit), *self.tiers]
        ends = [*(above for above, _ in self.tiers), units]
        taken = (
            max(0, min(units, end) - above) * per_unit
            for (above, per_unit), end in zip(steps, ends, strict=True)
        )
        return self.base + sum(taken)


@dataclass
class Price:
    """Terms that are in force from one moment to another, that one excluded."""

    version: int
    model: str
    terms: Terms
    effective_at: int
    ends_at: int = FOREVER

    def is_in_force(self, at: int) -> bool:
        return self.effective_at <= at < self.ends_at


@dataclass
class OperationPrices:
    """The prices of one operation, oldest version first."""

    versions: list[Price]

    def set(self, terms: Terms, now: int, model: str = ANY_MODEL) -> int:
        """Put a model's price in force from now on, if it differs, and return its version."""
        standing = [p for p in self.versions if p.model == model and p.is_in_force(now)]
        for price in standing:
            if price.terms == terms:
                return price.version
            price.ends_at = now
        self.versions.append(Price(len(self.versions) + 1, model, terms, now))
        return self.versions[-1].version

    def at(self, model: str | None, now: int) -> Price | None:
        """The model's own price that is in force, else the one for any model."""
        in_force = {p.model: p for p in self.versions if p.is_in_force(now)}
        return in_force.get(model or ANY_MODEL) or in_force.get(ANY_MODEL)

    def has_any(self, now: int) -> bool:
        return any(p.is_in_force(now) for p in self.versions)
