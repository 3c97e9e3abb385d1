"""What travels when an app charges, reserves and gives back."""

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.calling.idempotency import KEY_LENGTH_MAX
from api.shapes import (
    PRICE_VERSION_MAX,
    RESERVATION_SECONDS_MAX,
    UNITS_MAX,
    AccountAsked,
    AccountName,
    ChargeName,
    Credits,
    CreditsAsked,
    ModelName,
    OperationName,
    RefundName,
    ReservationName,
    Utc,
)

# With the longest names and keys so many take 50 KB: they fit the body's bound, and more than these
# save next to nothing, as one request is shared by so many already.
BULK_MAX: Final = 100

_A_BULK_CHARGE: Final = {"$ref": "#/components/schemas/BulkCharge"}
_ANY_PROBLEM: Final = Meta(extra_json_schema={"$ref": "#/components/schemas/Problem"})


class ChargeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charge an operation's price to an account.

    The price is that of `model` if it has one of its own, else that for any model. `price_version`
    asks for the charge only at that price: another one in force is a conflict.
    """

    account: AccountAsked
    operation: OperationName
    model: ModelName | None = None
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1
    price_version: Annotated[int, Meta(ge=1, le=PRICE_VERSION_MAX)] | None = None


class BulkCharge(ChargeRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A charge among others. Its `key` is its idempotency key: it names this charge alone."""

    key: Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX, pattern=r"^[ -~]+$(?!\n)")]


class BulkChargeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charges that are each decided by itself. What is wrong with one is told in its place."""

    charges: Annotated[
        list[Raw],
        Meta(min_length=1, max_length=BULK_MAX, extra_json_schema={"items": _A_BULK_CHARGE}),
    ]
    decoded_later: ClassVar[tuple[type[Struct], ...]] = (BulkCharge,)


class QuoteRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to price: as for a charge, which a quote neither makes nor holds credits for."""

    account: AccountAsked
    operation: OperationName
    model: ModelName | None = None
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1


class ForwardAuthQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How a proxy has a call paid for: written in the URL that it asks, once and for all.

    `mode` has no default: a URL without a query would let callers put theirs there.
    """

    mode: Annotated[
        Literal["charge", "reserve"],
        Meta(description="Take the price at once, or hold it for the upstream to settle."),
    ]
    model: ModelName | None = None
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1
    key_header: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9-]{1,64}$(?!\n)",
            description="The header that names the call, which the proxy sets anew for each.",
        ),
    ] = "X-Request-Id"
    deny_status: Annotated[
        Literal[402, 403],
        Meta(description="402: each refusal has its own status. 403: all but 401 have this one."),
    ] = 402
    expires_in: Annotated[
        int, Meta(ge=1, le=RESERVATION_SECONDS_MAX, description="Seconds a reservation lasts.")
    ] = 300
    minimum: Annotated[
        CreditsAsked, Meta(description="What is taken of a reservation that nobody settles.")
    ] = "0"


class RefundRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Give back `amount` credits of a charge, or all that is left of it."""

    amount: CreditsAsked | None = None


class ReservationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Hold the price of up to `units` of an operation, until it is settled or `expires_in` is over.

    Which price `model` has is as for a charge. If nobody settles it, `minimum` credits are taken of
    what is held and the rest is given back. A settlement may take up to `over_max` credits more
    than is held.
    """

    account: AccountAsked
    operation: OperationName
    expires_in: Annotated[
        int, Meta(ge=1, le=RESERVATION_SECONDS_MAX, description="Seconds.", examples=[600])
    ]
    model: ModelName | None = None
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1
    minimum: CreditsAsked = "0"
    over_max: CreditsAsked = "0"
    price_version: Annotated[int, Meta(ge=1, le=PRICE_VERSION_MAX)] | None = None


class SettleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the work came to: an `amount`, or so many `units` at the price they were reserved at.

    Exactly one of the two: nothing, or up to what is held and `over_max`. No units cost nothing;
    where units cost less than `at_least` credits, those are taken. How many units there were stays
    in the books; of an amount nobody says.
    """

    # What JSON Schema can say of `__post_init__`.
    extra_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["amount"], "not": {"required": ["at_least"]}},
            {"required": ["units"]},
        ]
    }

    amount: CreditsAsked | UnsetType = UNSET
    units: Annotated[int, Meta(ge=0, le=UNITS_MAX)] | UnsetType = UNSET
    at_least: CreditsAsked | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.amount is UNSET) == (self.units is UNSET):
            raise ValueError('Give either "amount" or "units", not both')
        if self.amount is not UNSET and self.at_least is not UNSET:
            raise ValueError('Give "at_least" with "units" alone')


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is held is given back."""


class ExtendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How long an open reservation is to last; it never ends sooner than it would have."""

    until: Utc


class Charge(Struct, frozen=True):
    """A charge. `available` is the balance right after it.

    `model` is whose price it was; null: the price for any model.
    """

    id: ChargeName
    account: AccountName
    operation: OperationName
    model: ModelName | None
    units: int
    price_version: int
    cost: Credits
    available: Credits
    at: Utc


class BulkItem(Struct, frozen=True, omit_defaults=True):
    """What came of one charge: itself, or the problem that it would have been answered alone."""

    charge: Charge | None = None
    replayed: bool | None = None
    problem: Annotated[Raw, _ANY_PROBLEM] | None = None


class BulkCharges(Struct, frozen=True):
    """What came of each charge, in the order in which they were asked for."""

    charges: list[BulkItem]


class Authorization(Struct, frozen=True):
    """A call is paid for: by a charge, or by a reservation until `expires_at`."""

    account: AccountName
    operation: OperationName
    units: int
    cost: Credits
    available: Credits
    charge: ChargeName | None = None
    reservation: ReservationName | None = None
    expires_at: Utc | None = None


class ChargeRecord(Struct, frozen=True):
    """A charge and what of it was given back since. `available` is the balance right after it.

    Of what the settlement of a `reservation` took, `units` are those that were used; null where it
    was settled by an amount, or ended by the clock: how many there were nobody said. `model` is
    whose price it was; null: the price for any model.
    """

    id: ChargeName
    account: AccountName
    operation: OperationName
    model: ModelName | None
    units: int | None
    price_version: int
    cost: Credits
    available: Credits
    at: Utc
    refunded: Credits
    reservation: ReservationName | None


class Quote(Struct, frozen=True):
    """What so many units cost now, and whether a charge of them would go through.

    `available` is what could be spent on this operation, by whoever would pay: the account itself,
    or its organisation within the member's budgets; and within the caps of the API key. `missing`
    includes the debt. `most_affordable_units` is null where any number of units can be paid for.
    `model` is whose price it is; null: the price for any model.
    """

    account: AccountName
    operation: OperationName
    model: ModelName | None
    units: int
    price_version: int
    cost: Credits
    available: Credits
    affordable: bool
    missing: Credits
    most_affordable_units: int | None


class Refund(Struct, frozen=True):
    """A refund. `repaid` is the part that went to the account's debt instead of its balance."""

    id: RefundName
    charge: ChargeName
    amount: Credits
    repaid: Credits
    available: Credits
    at: Utc


class Reservation(Struct, frozen=True):
    """What is held. `available` and `held` are the balance right after.

    `model` is whose price is held; null: the price for any model.
    """

    id: ReservationName
    account: AccountName
    operation: OperationName
    model: ModelName | None
    units: int
    price_version: int
    amount: Credits
    available: Credits
    held: Credits
    expires_at: Utc
    at: Utc


class ReservationRecord(Struct, frozen=True):
    """A reservation and how it stands.

    `taken` is null until it has ended: one whose time is over does so a bit later, by itself. What
    was taken is a `charge`. `units` are those reserved, `used` those that it was settled by; null
    where it was not, or by an amount.
    """

    id: ReservationName
    account: AccountName
    operation: OperationName
    model: ModelName | None
    units: int
    price_version: int
    amount: Credits
    state: Literal["open", "settled", "released", "expired"]
    taken: Credits | None
    used: int | None
    charge: ChargeName | None
    expires_at: Utc
    at: Utc


class ReservationEnd(Struct, frozen=True):
    """How a reservation ended. What was `taken` is a charge, and refunded as one.

    `units` are those that it was settled by, null where it was by an amount, or not settled. The
    same amount again, by whatever units, is answered with those of the first.
    """

    reservation: ReservationName
    charge: ChargeName | None
    how: Literal["settled", "released", "expired"]
    taken: Credits
    units: int | None
    available: Credits
    held: Credits
    at: Utc


class Extension(Struct, frozen=True):
    """Until when a reservation lasts now."""

    reservation: ReservationName
    expires_at: Utc
