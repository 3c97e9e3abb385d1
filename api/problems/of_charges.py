"""Problems of charging, refunding and reserving: what it costs, and what stands in the way."""

from datetime import datetime
from typing import Final

from api.caching import NO_STORE
from api.problems import details, refusals
from api.problems.problem_type import ProblemType
from api.problems.shortfall import Shortfall
from ledger import outcomes
from ledger.credits import format_credits
from ledger.ids import format_movement


def _until(renews_at: datetime | None) -> str:
    return "" if renews_at is None else f" until {renews_at:%Y-%m-%d %H:%M} UTC"


TYPES: Final = (
    ProblemType(
        cause=Shortfall,
        code="insufficient-credits",
        status=402,
        title="Insufficient credits",
        detail=Shortfall.detail,
        shape=details.InsufficientCredits,
        members=Shortfall.members,
        headers=Shortfall.headers,
    ),
    ProblemType(
        cause=outcomes.OverBudget,
        code="over-budget",
        status=402,
        title="Over budget",
        detail=lambda cause: (
            f"This costs {format_credits(cause.required)} credits and the member's budget leaves"
            f" {format_credits(cause.left)} of its organisation's: raise the budget or wait for"
            " its next period. The key is still free."
        ),
        shape=details.OverBudget,
        members=lambda cause: {
            "price_version": cause.price_version,
            "required": format_credits(cause.required),
            "left": format_credits(cause.left),
        },
        headers=lambda cause: (NO_STORE, ("Credits-Cost", format_credits(cause.required))),
    ),
    ProblemType(
        cause=outcomes.OverKeyCap,
        code="api-key-cap-reached",
        status=403,
        title="API key cap reached",
        detail=lambda cause: (
            f"This costs {format_credits(cause.required)} credits and the cap of this API key"
            f" leaves {format_credits(cause.left)}{_until(cause.renews_at)}: use another API key,"
            " or ask whoever made this one. The key is still free."
        ),
        shape=details.ApiKeyCapReached,
        members=lambda cause: {
            "price_version": cause.price_version,
            "required": format_credits(cause.required),
            "left": format_credits(cause.left),
            "renews_at": cause.renews_at,
        },
        headers=lambda cause: (NO_STORE, ("Credits-Cost", format_credits(cause.required))),
    ),
    ProblemType(
        cause=outcomes.NotCoveredBeyond,
        code="reservation-exceeded",
        status=402,
        title="Reservation exceeded",
        detail=lambda cause: (
            f"The work cost {format_credits(cause.extra)} credits more than is held, and"
            f" {format_credits(cause.available)} are available: settle for less, or earn more and"
            " settle again. The reservation is still open."
        ),
        shape=details.NotCovered,
        members=lambda cause: {
            "extra": format_credits(cause.extra),
            "available": format_credits(cause.available),
            "debt": format_credits(cause.debt),
        },
        headers=lambda cause: (NO_STORE, ("Credits-Balance", format_credits(cause.available))),
    ),
    ProblemType(
        cause=outcomes.PriceChanged,
        code="price-changed",
        status=409,
        title="Price changed",
        detail=lambda cause: (
            f"Version {cause.in_force} of the price is in force and nothing was"
            " taken: look it up at GET /v1/operations, then send that price_version, or none."
        ),
        shape=details.PriceChanged,
        members=lambda cause: {"price_version": cause.in_force},
    ),
    ProblemType(
        cause=outcomes.AlreadyEnded,
        code="reservation-ended",
        status=409,
        title="Reservation ended",
        detail=lambda cause: (
            f"The reservation is {cause.ending.how} already, and"
            f" {format_credits(cause.ending.taken)} credits of it were taken: refund that charge"
            " if it should not have been, or charge what is missing."
        ),
        shape=details.ReservationEnded,
        members=lambda cause: {
            "how": cause.ending.how,
            "taken": format_credits(cause.ending.taken),
            "units": cause.ending.units,
            "charge": format_movement("chg", cause.ending.movement) if cause.ending.taken else None,
        },
    ),
    ProblemType(
        cause=refusals.AuthorizationReplayed,
        code="authorization-replayed",
        status=409,
        title="Authorization replayed",
        detail="The proxy asked about this call before, and it was let through or denied by that"
        " answer: send the call again as a new one. An app may refund what paid for a call that"
        " never arrived.",
        shape=details.AuthorizationReplayed,
        members=lambda cause: {"paid_by": cause.paid_by},
        headers=lambda _cause: (NO_STORE,),
    ),
    ProblemType(
        cause=refusals.NotPriced,
        code="unknown-operation",
        status=422,
        title="Unknown operation",
        detail=lambda cause: (
            f"{cause.operation} has no price: GET /v1/operations lists the"
            " operations that have one."
        ),
        shape=details.UnknownOperation,
        members=lambda cause: {"operations": list(cause.known)},
    ),
    ProblemType(
        cause=refusals.ModelNotPriced,
        code="unknown-model",
        status=422,
        title="Unknown model",
        detail=lambda cause: (
            f"{cause.operation} has a price for some models, and"
            f" {'none was named' if cause.model is None else f'{cause.model} is none of them'}:"
            f" name one of those in `models`."
        ),
        shape=details.UnknownModel,
        members=lambda cause: {"models": list(cause.known)},
    ),
    ProblemType(
        cause=outcomes.TooExpensive,
        code="too-expensive",
        status=422,
        title="Too expensive",
        detail="Units times price are more than the books hold: charge fewer units at a time.",
    ),
    ProblemType(
        cause=outcomes.MoreThanTaken,
        code="more-than-taken",
        status=422,
        title="More than was taken",
        detail=lambda cause: (
            f"{format_credits(cause.refundable)} credits of this charge can still"
            " be given back: ask for no more, or leave out `amount` for all of it."
        ),
        shape=details.MoreThanTaken,
        members=lambda cause: {"refundable": format_credits(cause.refundable)},
    ),
    ProblemType(
        cause=outcomes.OverBound,
        code="over-bound",
        status=422,
        title="Over bound",
        detail=lambda cause: (
            f"A settlement of this reservation takes from 0 to {format_credits(cause.most)}"
            " credits: reserve more, or allow for more by over_max, where work may cost more."
        ),
        shape=details.OverBound,
        members=lambda cause: {"most": format_credits(cause.most)},
    ),
    ProblemType(
        cause=outcomes.DurationRefused,
        code="duration-refused",
        status=422,
        title="Duration refused",
        detail=lambda cause: (
            f"A reservation lasts at most {int(cause.longest.total_seconds())} seconds from now:"
            " ask for less, and extend it while the work goes on."
        ),
        shape=details.DurationRefused,
        members=lambda cause: {"longest": int(cause.longest.total_seconds())},
    ),
    ProblemType(
        cause=outcomes.NoSuchCharge,
        code="no-such-charge",
        status=404,
        title="No such charge",
        detail="There is no charge of this name on an account that your app may reach: take the"
        " `id` that POST /v1/charges answered to your app.",
    ),
    ProblemType(
        cause=outcomes.NoSuchReservation,
        code="no-such-reservation",
        status=404,
        title="No such reservation",
        detail="There is no reservation of this name that your app made: take the `id` that"
        " POST /v1/reservations answered to it.",
    ),
)
