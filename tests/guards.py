"""What guards the books, and how to take each guard away: the tests must notice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

from stage import Stage

Remove = Callable[[Stage], None]


@dataclass(frozen=True)
class Without:
    """A function without a part of its text, wherever that stands in it."""

    function: LiteralString
    part: str
    instead: str = ""

    def __call__(self, stage: Stage) -> None:
        ((text,),) = stage.rows(
            "select pg_get_functiondef(p.oid) from pg_proc p"
            " where p.pronamespace = 'creditd'::regnamespace and p.proname = %s",
            self.function,
        )
        assert self.part in text, f"{self.function} does not say {self.part!r}"
        stage.owner.execute(text.replace(self.part, self.instead).encode())


@dataclass(frozen=True)
class Dropped:
    """A constraint or a trigger is no longer there."""

    table: LiteralString
    constraint: LiteralString | None = None
    trigger: LiteralString | None = None

    def __call__(self, stage: Stage) -> None:
        what = f"constraint {self.constraint}" if self.constraint else ""
        if self.trigger:
            stage.owner.execute(f"drop trigger {self.trigger} on creditd.{self.table}".encode())
        else:
            stage.owner.execute(f"alter table creditd.{self.table} drop {what}".encode())


@dataclass(frozen=True)
class DroppedIndex:
    index: LiteralString

    def __call__(self, stage: Stage) -> None:
        stage.owner.execute(f"drop index creditd.{self.index}".encode())


def all_of(*removals: Remove) -> Remove:
    """Take several away at once: each guards what another would also stop."""

    def remove(stage: Stage) -> None:
        for removal in removals:
            removal(stage)

    return remove
