"""What a figure is held against: a bound for a median, or for the median of the rounds' ratios."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from measuring import Sample, ratio, say


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a work is to be, alone, as a ratio `against` another or `less` another.

    With neither bound it is told and no more.
    """

    name: str
    ours: str
    against: str | None = None
    less: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    of: str = "value"  # of a sample: value, cpu_us, postgres_us or one of its further figures

    def got(self, samples: Mapping[str, Sequence[Sample]]) -> float:
        """Return the median, or the median of the rounds' ratios or differences."""
        ours = [_of(sample, self.of) for sample in samples[self.ours]]
        if self.less is not None:
            others = [_of(sample, self.of) for sample in samples[self.less]]
            return median(a - b for a, b in zip(ours, others, strict=True))
        if self.against is None:
            return median(ours)
        return ratio(ours, [_of(sample, self.of) for sample in samples[self.against]])

    def wanted(self) -> str:
        """Return the bound in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:,}"
        return f"at most {self.at_most:,}" if self.at_most is not None else "told only"

    def holds(self, got: float) -> bool | None:
        """Say whether the bound holds, None where there is none."""
        if self.at_least is not None:
            return got >= self.at_least
        return got <= self.at_most if self.at_most is not None else None


@dataclass(frozen=True, slots=True)
class Bar:
    """What came of a bar."""

    name: str
    wanted: str
    got: float
    holds: bool | None


def judge(wanted: Iterable[Wanted], samples: Mapping[str, Sequence[Sample]]) -> list[Bar]:
    """Return the bars of whatever was measured."""
    return [
        Bar(each.name, each.wanted(), round(got, 3), each.holds(got))
        for each in wanted
        if {each.ours, each.against, each.less} - {None} <= samples.keys()
        for got in [each.got(samples)]
    ]


def tell(bars: Iterable[Bar]) -> None:
    """Print each bar with what came of it."""
    for bar in bars:
        verdict = {True: "holds", False: "MISSED", None: "told"}[bar.holds]
        say(f"{verdict:<6} {bar.name}: {bar.got:,.2f} ({bar.wanted})")


def _of(sample: Sample, of: str) -> float:
    match of:
        case "value":
            return sample.value
        case "cpu_us":
            return sample.cpu_us
        case "client_us":
            return sample.client_us
        case "postgres_us":
            return sample.postgres_us
        case _:
            return sample.more[of]
