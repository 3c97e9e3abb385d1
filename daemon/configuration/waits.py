"""Larger amounts may be made to wait longer: for more blocks to be final on top of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from daemon.configuration.rule_reader import read_credits
from daemon.configuration.rules import GRANT_MAX_MICRO
from daemon.configuration.toml_reader import Table

# A step for each digit of the largest grant: who reads them sees at once which one holds.
WAITS_MAX: Final = 18
# Two weeks of Ethereum's blocks: as deep as any confirmation may be, and more is a typing error.
WAIT_BLOCKS_MAX: Final = 100_000

_WANTED: Final = 'a list such as [{ above = "1000", blocks = 64 }]'


@dataclass(frozen=True, slots=True)
class LongerWait:
    """What earns more than `above_micro` micro-credits waits for `blocks` more final blocks."""

    above_micro: int
    blocks: int


def read_waits(table: Table) -> tuple[LongerWait, ...]:
    """Return a chain's `waits`, none if it has no such setting."""
    value = table.value("waits")
    if value is None:
        return ()
    if isinstance(value, list) and len(value) > WAITS_MAX:
        table.mistake("waits", f"has more than {WAITS_MAX} entries")
        return ()
    waits: list[LongerWait] = []
    for each in table.tables("waits", wanted=_WANTED):
        above = read_credits(each, "above", GRANT_MAX_MICRO, required=True, at_least=0)
        blocks = each.integer("blocks", at_least=1, at_most=WAIT_BLOCKS_MAX)
        if waits and above is not None and above <= waits[-1].above_micro:
            each.mistake("above", "is not more than the one before it")
        if waits and each.sound("blocks") and blocks <= waits[-1].blocks:
            each.mistake("blocks", "is not more than before: what earns more waits longer")
        each.refuse_unknown()
        if above is not None and each.sound("blocks"):
            waits.append(LongerWait(above, blocks))
    return tuple(waits)


def blocks_more(waits: Sequence[LongerWait], credits_micro: int) -> int:
    """Return how many final blocks more an event waits for that earns so many micro-credits.

    `waits` ascend; none is for what earns no more than any of them says.
    """
    return max((wait.blocks for wait in waits if credits_micro > wait.above_micro), default=0)
