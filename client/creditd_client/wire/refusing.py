"""creditd's refusals as exceptions, by the type of their problem."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from creditd_client.errors import (
    InsufficientCredits,
    KeyReused,
    OverBudget,
    Refused,
    ReservationEnded,
    ReservationExceeded,
    problem_code,
)
from creditd_client.wire.reading import Answer


def refusal(answer: Answer) -> Refused:
    """Return what an answer of 400 or above is raised as.

    Raises CreditsUnavailable where it is no answer of creditd's: a 402 of an unknown type, or a
    known type without its amounts.
    """
    code = problem_code(answer.document)
    if code in _BY_CODE:
        return _BY_CODE[code](answer)
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and not code:
        raise answer.nonsense("type")  # somebody else wants to be paid
    return Refused(answer.status, answer.document, answer.headers)


def _insufficient(answer: Answer) -> Refused:
    return InsufficientCredits(
        answer.document,
        answer.headers,
        required=answer.credits("required"),
        available=answer.credits("available"),
        missing=answer.credits("missing"),
        pending=answer.credits("pending"),
        pending_ready_at=answer.time_or_none("pending_ready_at"),
        most_affordable_units=answer.number_or_none("most_affordable_units"),
    )


def _over_budget(answer: Answer) -> Refused:
    return OverBudget(
        answer.document,
        answer.headers,
        required=answer.credits("required"),
        left=answer.credits("left"),
    )


def _exceeded(answer: Answer) -> Refused:
    return ReservationExceeded(
        answer.document,
        answer.headers,
        extra=answer.credits("extra"),
        available=answer.credits("available"),
    )


def _ended(answer: Answer) -> Refused:
    return ReservationEnded(
        answer.document,
        answer.headers,
        how=answer.text("how"),
        taken=answer.credits("taken"),
        charge=answer.text_or_none("charge"),
        units=answer.number_or_none("units"),
    )


def _key_reused(answer: Answer) -> Refused:
    return KeyReused(answer.status, answer.document, answer.headers)


_BY_CODE: Final[Mapping[str, Callable[[Answer], Refused]]] = MappingProxyType(
    {
        "insufficient-credits": _insufficient,
        "over-budget": _over_budget,
        "reservation-exceeded": _exceeded,
        "reservation-ended": _ended,
        "idempotency-key-reused": _key_reused,
    }
)
