"""What the answers to the requests mean. Raises CreditsUnavailable where they mean nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from creditd_client.answers import (
    Balance,
    Charged,
    ChargeRecord,
    Ended,
    Quote,
    Refunded,
    Reservation,
    ReservationRecord,
)
from creditd_client.errors import CreditsError, CreditsUnavailable
from creditd_client.wire.reading import Answer
from creditd_client.wire.refusing import refusal

# How far this host's clock and creditd's may differ: kept clocks agree within a second.
CLOCKS_APART_MAX: Final = timedelta(seconds=5)


def charged(answer: Answer, began: datetime) -> Charged:
    """Return a charge that a call made; it `began` then, by this host's clock."""
    at = answer.time("at")
    made_since = at >= began - CLOCKS_APART_MAX
    return Charged(
        id=answer.text("id"),
        cost=answer.credits("cost"),
        available=answer.credits("available"),
        at=at,
        replayed=answer.replayed,
        ours=not answer.replayed or (answer.retried and made_since),
    )


def of_many(
    answer: Answer, row: Mapping[str, object], key: str, began: datetime
) -> Charged | CreditsError:
    """Return what became of one charge of many: a charge, or what it alone would have raised."""
    problem, charge = row.get("problem"), row.get("charge")
    if isinstance(charge, dict):
        headers = {"idempotent-replayed": "true"} if row.get("replayed") is True else {}
        made = Answer(answer.status, headers, charge, key, retried=answer.retried)
        return charged(made, began)
    if not isinstance(problem, dict):
        raise answer.nonsense("charges")
    status = problem.get("status")
    if not isinstance(status, int) or status < HTTPStatus.BAD_REQUEST:
        raise answer.nonsense("charges")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = f"creditd answered {status} for this charge: {problem.get('detail', '')}"
        return CreditsUnavailable(reason, maybe_taken=True, key=key)
    return refusal(Answer(status, {}, problem, key))


def refunded(answer: Answer) -> Refunded:
    """Return a refund."""
    return Refunded(
        id=answer.text("id"),
        charge=answer.text("charge"),
        amount=answer.credits("amount"),
        repaid=answer.credits("repaid"),
        available=answer.credits("available"),
        replayed=answer.replayed,
    )


def charge_record(answer: Answer) -> ChargeRecord:
    """Return a charge looked up."""
    return ChargeRecord(
        id=answer.text("id"),
        account=answer.text("account"),
        operation=answer.text("operation"),
        units=answer.number_or_none("units"),
        cost=answer.credits("cost"),
        refunded=answer.credits("refunded"),
    )


def quote(answer: Answer) -> Quote:
    """Return a quote."""
    return Quote(
        price_version=answer.number("price_version"),
        cost=answer.credits("cost"),
        available=answer.credits("available"),
        affordable=answer.flag("affordable"),
        most_affordable_units=answer.number_or_none("most_affordable_units"),
        missing=answer.credits_or_zero("missing"),
    )


def reservation(answer: Answer) -> Reservation:
    """Return a reservation."""
    return Reservation(
        id=answer.text("id"),
        account=answer.text("account"),
        operation=answer.text("operation"),
        units=answer.number("units"),
        price_version=answer.number("price_version"),
        amount=answer.credits("amount"),
        available=answer.credits("available"),
        expires_at=answer.time("expires_at"),
        replayed=answer.replayed,
    )


def reservation_record(answer: Answer) -> ReservationRecord:
    """Return a reservation looked up."""
    return ReservationRecord(
        id=answer.text("id"),
        account=answer.text("account"),
        operation=answer.text("operation"),
        units=answer.number("units"),
        amount=answer.credits("amount"),
        expires_at=answer.time("expires_at"),
        state=answer.text("state"),
        taken=answer.credits_or_none("taken"),
        charge=answer.text_or_none("charge"),
        used=answer.number_or_none("used"),
    )


def ended(answer: Answer) -> Ended:
    """Return how a reservation ended."""
    return Ended(
        reservation=answer.text("reservation"),
        how=answer.text("how"),
        taken=answer.credits("taken"),
        charge=answer.text_or_none("charge"),
        available=answer.credits("available"),
        replayed=answer.replayed,
        units=answer.number_or_none("units"),
    )


def balance(answer: Answer) -> Balance:
    """Return a balance."""
    return Balance(
        account=answer.text("account"),
        available=answer.credits("available"),
        held=answer.credits_or_zero("held"),
        pending=answer.credits("pending"),
        debt=answer.credits("debt"),
    )
