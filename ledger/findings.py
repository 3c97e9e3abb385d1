"""What an audit finds, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

Fact = int | str | bool | None

BREACHES_LISTED_MAX: Final = 20  # enough to see a pattern; a person looks further with SQL


@dataclass(frozen=True, slots=True)
class Breach:
    """One row that breaks a promise: its keys, and what is said where.

    Hashes and other bytes are hex with a leading 0x, times are ISO 8601, amounts micro-credits.
    """

    facts: Mapping[str, Fact]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    `examined` counts the rows it looked at (of what kind, its promise says), `breaches_total` all
    breaches; `breaches` lists the first of them, at most BREACHES_LISTED_MAX.
    """

    name: str
    promise: str
    row_means: str
    examined: int
    breaches: tuple[Breach, ...]
    breaches_total: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. The books are `balanced` if no check has a breach."""

    checks: tuple[CheckResult, ...]
    entries: int
    accounts: int
    seconds: float
    balanced: bool


@dataclass(slots=True)
class Findings:
    """Breaches as they are found: all are counted, the first ones kept."""

    total: int = 0
    listed: list[Breach] = field(default_factory=list)

    def add(self, **facts: Fact) -> None:
        """Count a breach."""
        self.total += 1
        if len(self.listed) < BREACHES_LISTED_MAX:
            self.listed.append(Breach(MappingProxyType(facts)))
