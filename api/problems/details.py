"""What the bodies of problems say (RFC 9457): types that make them and the OpenAPI document."""

from typing import Literal

from msgspec import Struct, field

from api.shapes import AccountName, ChargeName, Credits, Utc


class Problem(Struct, frozen=True):
    """Why a request was refused, and what helps."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class FieldError(Struct, frozen=True):
    """What is wrong with one field of the body, parameter of the query or header."""

    field: str
    message: str


class InvalidRequest(Problem, frozen=True):
    """The fields to mend."""

    errors: list[FieldError]


class MissingScope(Problem, frozen=True):
    """The scope the API key lacks."""

    scope: str


class Remedy(Struct, frozen=True, omit_defaults=True):
    """Something that helps: `wait` for pending credits, `earn` more, or `top_up` at a `url`."""

    kind: Literal["wait", "earn", "top_up"]
    detail: str
    retry_after: int | None = None
    url: str | None = None


class InsufficientCredits(Problem, frozen=True):
    """What the operation costs and what the account has. `missing` includes the debt.

    `reserved` is what its reservations hold. `most_affordable_units` could be paid for: by the
    account, or for a member by its organisation too; null where nobody can say.
    What is missing of what is `pending` is expected at `pending_ready_at`, or all of it where that
    is not enough; null where nobody can say.
    """

    account: AccountName
    operation: str
    model: str | None
    units: int
    price_version: int
    required: Credits
    available: Credits
    reserved: Credits
    most_affordable_units: int | None
    pending: Credits
    pending_ready_at: Utc | None
    missing: Credits
    debt: Credits
    remedies: list[Remedy]


class OverBudget(Problem, frozen=True):
    """What the operation costs and what the member's budget leaves in its period."""

    price_version: int
    required: Credits
    left: Credits


class QuotaExceeded(Problem, frozen=True):
    """The policies of the `RateLimit-Policy` header that the request would have broken."""

    violated_policies: list[str] = field(name="violated-policies")


class ApiKeyCapReached(Problem, frozen=True):
    """What the operation costs, what the API key's cap leaves, and when it begins anew if ever."""

    price_version: int
    required: Credits
    left: Credits
    renews_at: Utc | None


class ReservationEnded(Problem, frozen=True):
    """The end that the reservation had come to, and the units that it was settled by, if any."""

    how: Literal["settled", "released", "expired"]
    taken: Credits
    units: int | None
    charge: ChargeName | None


class OverBound(Problem, frozen=True):
    """The most that a settlement of the reservation may take."""

    most: Credits


class NotCovered(Problem, frozen=True):
    """What the work cost more than is held, and what there is to pay it with."""

    extra: Credits
    available: Credits
    debt: Credits


class LessToMove(Problem, frozen=True):
    """How much was to move, and what can."""

    required: Credits
    available: Credits


class DurationRefused(Problem, frozen=True):
    """How many seconds a reservation lasts at most."""

    longest: int


class AuthorizationReplayed(Problem, frozen=True):
    """The charge or reservation that paid for the call when it was asked about first."""

    paid_by: str | None


class PriceChanged(Problem, frozen=True):
    """The price version in force."""

    price_version: int


class UnknownOperation(Problem, frozen=True):
    """Operations that have a price; not all of them where there are many."""

    operations: list[str]


class UnknownModel(Problem, frozen=True):
    """Models that have a price for the operation; not all of them where there are many."""

    models: list[str]


class MoreThanTaken(Problem, frozen=True):
    """What can still be given back of the charge."""

    refundable: Credits


class ReplayCutShort(Problem, frozen=True):
    """How many events were entered and granted by then; null where nobody can say."""

    granted_events: int | None
