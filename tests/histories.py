"""Random histories of a few accounts, and the ways in which one can be told to the books."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from requests_to_the_books import (
    Answer,
    Batch,
    Charge,
    Give,
    Known,
    Refund,
    Request,
    Reverse,
    a_charge,
    a_gift,
    a_refund,
    a_reversal,
)
from specification.accounts import ALWAYS, NEVER, Terms
from specification.books import Books
from stage import PLAIN, SECOND, START, Stage

from ledger.ids import AccountRef, MovementRef

ACCOUNTS = [AccountRef(number, number) for number in (1, 2, 3)]  # to be bound to real ones


@dataclass(frozen=True)
class Wait:
    microseconds: int


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
        ACCOUNTS, terms=lambda rng: weather.terms(rng, now), amount_max=weather.amount_max
    )
    model = stage.model_of(*ACCOUNTS)
    drawn: Mapping[Callable[[Random, Known], Request], int] = {
        a_charge: 10,
        a_refund: 3,
        a_gift: 5,
        a_reversal: 1,
    }
    told: list[Told] = []
    for _ in range(steps):
        if rng.random() < 0.2:
            wait = Wait(rng.randint(1, 8) * SECOND)
            now += wait.microseconds
            told.append((wait, []))
            continue
        request = rng.choices(list(drawn), list(drawn.values()))[0](rng, known)
        answers = request.expected(model, stage.app_id, now)
        known.learn(answers)
        told.append((request, answers))
    return told, model


def account_of(request: Request) -> AccountRef:
    match request:
        case Charge(account) | Give(account):
            return account
        case Refund(movement) | Reverse(movement):
            return movement.account
    raise AssertionError(request)


def bound(request: Request, accounts: Mapping[AccountRef, AccountRef]) -> Request:
    """The same request of a real account."""
    match request:
        case Charge(account) | Give(account):
            return replace(request, account=accounts[account])
        case Refund(MovementRef(account, seq)):
            return replace(request, charge=MovementRef(accounts[account], seq))
        case Reverse(MovementRef(account, seq)):
            return Reverse(MovementRef(accounts[account], seq))
    raise AssertionError(request)


def bound_answer(answer: Answer, accounts: Mapping[AccountRef, AccountRef]) -> Answer:
    """The same answer, where it names an account."""
    match answer:
        case MovementRef(account, seq):
            return MovementRef(accounts[account], seq)
    for name in ("charge", "refund"):
        part = getattr(answer, name, None)
        if part is not None and hasattr(part, "movement"):
            fields = {
                field: bound_answer(getattr(part, field), accounts)
                for field in ("movement", "charge")
                if hasattr(part, field)
            }
            return replace(answer, **{name: replace(part, **fields)})  # type: ignore[type-var]
    return answer


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
