"""Random histories of a few accounts, and the ways in which one can be told to the books."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from random import Random
from typing import Any

from msgspec import Struct, structs
from requests_to_hold import a_release, a_reservation, a_settlement
from requests_to_the_books import (
    Answer,
    Batch,
    Charge,
    Drawn,
    Known,
    Request,
    a_charge,
    a_gift,
    a_refund,
    a_reversal,
    draw,
)
from specification.accounts import ALWAYS, NEVER, Terms
from specification.books import Books
from stage import PLAIN, SECOND, START, Stage

from ledger.ids import AccountRef, MovementRef

ACCOUNTS = [AccountRef(number, number) for number in (1, 2, 3)]  # to be bound to real ones


@dataclass(frozen=True)
class Wait:
    microseconds: int


# One request at a time: batches are made of them.
IN_HISTORIES: Drawn = {
    a_charge: 12,
    a_refund: 3,
    a_gift: 5,
    a_reversal: 1,
    a_reservation: 2,
    a_settlement: 2,
    a_release: 1,
}
Step = Request | Wait
Told = tuple[Step, list[Answer]]  # a step and what it is answered


@dataclass(frozen=True)
class Weather:
    """How a history's lots are: some accounts have only plain ones, and are charged in passing."""

    amount_max: int
    begin_later: float  # how many of them
    end: float
    are_restricted: float

    @classmethod
    def drawn(cls, rng: Random) -> "Weather":
        return cls(
            amount_max=rng.choice((12, 60)),
            begin_later=rng.choice((0, 0.3)),
            end=rng.choice((0, 0.2, 0.6)),
            are_restricted=rng.choice((0, 0, 0, 0.05, 0.3)),
        )

    def terms(self, rng: Random, now: int) -> Terms:
        effective = now + rng.randint(1, 20) * SECOND if rng.random() < self.begin_later else ALWAYS
        ends = rng.random() < self.end
        restricted = rng.random() < self.are_restricted
        return replace(
            PLAIN,
            priority=rng.choice((0, 50, 100, 100, 100)),
            effective_at=effective,
            expires_at=max(effective, now) + rng.randint(1, 30) * SECOND if ends else NEVER,
            operations=frozenset(rng.sample(["unit", "draw", "look"], 2)) if restricted else None,
        )


def some_history(stage: Stage, seed: int, steps: int) -> tuple[list[Told], Books]:
    """Draw a history, and the books that a model comes to by it."""
    rng = Random(seed)
    now = START
    weather = Weather.drawn(rng)
    known = Known(
        ACCOUNTS,
        terms=lambda rng: weather.terms(rng, now),
        amount_max=weather.amount_max,
        time_passes=True,
    )
    model = stage.model_of(*ACCOUNTS)
    told: list[Told] = []
    for _ in range(steps):
        if rng.random() < 0.2:
            wait = Wait(rng.randint(1, 8) * SECOND)
            now += wait.microseconds
            told.append((wait, []))
            continue
        request = draw(rng, known, IN_HISTORIES)
        answers = request.expected(model, stage.app_id, now)
        known.learn(answers)
        told.append((request, answers))
    return told, model


def account_of(request: Request) -> AccountRef:
    """The account that a request is about."""
    for name in ("account", "charge", "lot", "reservation"):
        named = getattr(request, name, None)
        if named is not None:
            return named.account if isinstance(named, MovementRef) else named
    raise AssertionError(request)


def bound(value: Any, accounts: Mapping[AccountRef, AccountRef]) -> Any:  # noqa: ANN401 - any
    """The same request or answer, of real accounts."""
    if isinstance(value, AccountRef):
        return accounts[value]
    if isinstance(value, MovementRef):
        return MovementRef(accounts[value.account], value.seq)
    if isinstance(value, tuple):
        return tuple(bound(each, accounts) for each in value)
    if isinstance(value, Struct):
        parts = {name: bound(getattr(value, name), accounts) for name in value.__struct_fields__}
        return structs.replace(value, **parts)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    parts = {each.name: bound(getattr(value, each.name), accounts) for each in fields(value)}
    return replace(value, **parts)


def stretches(told: Sequence[Told]) -> Iterator[list[Told]]:
    """What lies between two waits, and each wait by itself."""
    stretch: list[Told] = []
    for each in told:
        if isinstance(each[0], Wait):
            if stretch:
                yield stretch
            yield [each]
            stretch = []
        else:
            stretch.append(each)
    if stretch:
        yield stretch


def reordered(told: Sequence[Told], rng: Random) -> list[Told]:
    """The same for each account, in another order across accounts."""
    mixed: list[Told] = []
    for stretch in stretches(told):
        queues: dict[AccountRef | None, list[Told]] = {}
        for each in stretch:
            whose = None if isinstance(each[0], Wait) else account_of(each[0])
            queues.setdefault(whose, []).append(each)
        while queues:
            whose = rng.choice(list(queues))
            mixed.append(queues[whose].pop(0))
            if not queues[whose]:
                del queues[whose]
    return mixed


def merged(told: Sequence[Told], most: int) -> list[Told]:
    """The same with charges that follow one another in batches of at most so many."""
    batches: list[Told] = []
    gathered: dict[tuple[AccountRef, str], tuple[Charge, list[Answer]]] = {}

    def send() -> None:
        if gathered:
            charges = tuple(charge for charge, _ in gathered.values())
            batches.append(
                (Batch(charges), [a for _, answers in gathered.values() for a in answers])
            )
            gathered.clear()

    for step, answers in told:
        if not isinstance(step, Charge):
            send()
            batches.append((step, answers))
            continue
        if (step.account, step.key) in gathered or len(gathered) == most:
            send()
        gathered[step.account, step.key] = step, answers
    send()
    return batches
