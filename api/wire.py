"""What travels over HTTP: the shapes of requests and answers; `problem_details` has the others.

The same types decode the requests and make the OpenAPI document. Credits travel as decimal strings,
amounts of tokens as strings of base units, times as RFC 3339 in UTC, names as `acct_…`, `chg_…`,
`rfd_…`, addresses with their EIP-55 checksum.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

UNITS_MAX: Final = 1_000_000_000  # far above a request's tokens, far below where a price overflows
PAGE_ROWS_MAX: Final = 200  # a page stays under 100 KiB
PAGE_ROWS_DEFAULT: Final = 50
CHAIN_ID_MAX: Final = 9_223_372_036_854_775_771  # EIP-2294's bound
RESERVATION_SECONDS_MAX: Final = 30 * 86_400  # as the books have it
PRICE_VERSION_MAX: Final = 2**31 - 1  # the books number versions with 32 bits

# The look-ahead refuses a last newline, which Python's `$` would let pass.
OPERATION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$(?!\n)"
_LINE_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$(?!\n)"

CreditsAsked = Annotated[str, Meta(max_length=40, examples=["0.5"])]
Credits = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$",
        description="Credits as a decimal string, at most six decimals.",
        examples=["12", "0.5"],
    ),
]
BaseUnits = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]*)$")]
AccountName = Annotated[str, Meta(pattern=r"^acct_", max_length=64)]
ChargeName = Annotated[str, Meta(pattern=r"^chg_", max_length=64)]
ReservationName = Annotated[str, Meta(pattern=r"^rsv_", max_length=64)]
RefundName = Annotated[str, Meta(pattern=r"^rfd_", max_length=64)]
OperationName = Annotated[
    str, Meta(pattern=OPERATION_PATTERN, max_length=100, examples=["chat.completion"])
]
Address = Annotated[str, Meta(pattern=r"^0[xX][0-9a-fA-F]{40}$")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{64}$")]
Utc = Annotated[datetime, Meta(tz=True)]


# Requests ----------------------------------------------------------------------------------------


class WalletRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A wallet: an address on one chain."""

    chain_id: Annotated[int, Meta(ge=1, le=CHAIN_ID_MAX)]
    address: Annotated[
        str,
        Meta(max_length=80, description="0x and 40 digits; mixed case must be right by EIP-55."),
    ]


class AccountRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which account to open: the app's own by `name`, or a wallet's. Exactly one of the two."""

    # What JSON Schema can say of `__post_init__`.
    extra_schema: ClassVar[dict[str, Any]] = {"minProperties": 1, "maxProperties": 1}

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE_PATTERN)] | UnsetType = (
        UNSET
    )
    wallet: WalletRequest | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.name is UNSET) == (self.wallet is UNSET):
            raise ValueError('Give either "name" or "wallet", not both')


class ChargeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charge an operation's price to an account.

    `price_version` asks for the charge only at that price: another one in force is a conflict.
    """

    account: Annotated[str, Meta(max_length=64)]
    operation: OperationName
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1
    price_version: Annotated[int, Meta(ge=1, le=PRICE_VERSION_MAX)] | None = None


class ReservationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Hold the price of up to `units` of an operation, until it is settled or `expires_in` is over.

    If nobody settles it, `minimum` credits are taken of what is held and the rest is given back. A
    settlement may take up to `over_max` credits more than is held.
    """

    account: Annotated[str, Meta(max_length=64)]
    operation: OperationName
    expires_in: Annotated[
        int, Meta(ge=1, le=RESERVATION_SECONDS_MAX, description="Seconds.", examples=[600])
    ]
    units: Annotated[int, Meta(ge=1, le=UNITS_MAX)] = 1
    minimum: CreditsAsked = "0"
    over_max: CreditsAsked = "0"
    price_version: Annotated[int, Meta(ge=1, le=PRICE_VERSION_MAX)] | None = None


class SettleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the work cost: nothing, or up to what is held and `over_max`."""

    amount: CreditsAsked


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is held is given back."""


class ExtendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How long an open reservation is to last; it never ends sooner than it would have."""

    until: Utc


class RefundRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Give back `amount` credits of a charge, or all that is left of it."""

    amount: Annotated[str, Meta(max_length=40, examples=["0.5"])] | None = None


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked for in the body."""


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked for in the query."""


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list, newest first."""

    limit: Annotated[int, Meta(ge=1, le=PAGE_ROWS_MAX, description="How many rows at most.")] = (
        PAGE_ROWS_DEFAULT
    )
    cursor: (
        Annotated[str, Meta(max_length=200, description="`next_cursor` of the page before.")] | None
    ) = None


# Answers -----------------------------------------------------------------------------------------


class Account(Struct, frozen=True):
    """An account the app may reach."""

    id: AccountName


class Charge(Struct, frozen=True):
    """A charge. `available` is the balance right after it."""

    id: ChargeName
    account: AccountName
    operation: OperationName
    units: int
    price_version: int
    cost: Credits
    available: Credits
    at: Utc


class ChargeRecord(Charge, frozen=True):
    """A charge and what of it was given back since."""

    refunded: Credits


class Reservation(Struct, frozen=True):
    """What is held. `available` and `held` are the balance right after."""

    id: ReservationName
    account: AccountName
    operation: OperationName
    units: int
    price_version: int
    amount: Credits
    available: Credits
    held: Credits
    expires_at: Utc
    at: Utc


class ReservationEnd(Struct, frozen=True):
    """How a reservation ended. What was `taken` is a charge, and refunded as one."""

    reservation: ReservationName
    charge: ChargeName | None
    how: Literal["settled", "released", "expired"]
    taken: Credits
    available: Credits
    held: Credits
    at: Utc


class Extension(Struct, frozen=True):
    """Until when a reservation lasts now."""

    reservation: ReservationName
    expires_at: Utc


class Refund(Struct, frozen=True):
    """A refund. `repaid` is the part that went to the account's debt instead of its balance."""

    id: RefundName
    charge: ChargeName
    amount: Credits
    repaid: Credits
    available: Credits
    at: Utc


class Balance(Struct, frozen=True):
    """What an account has.

    `pending` waits for its chain to confirm it; `debt` was spent of grants that a reorg took back
    and is repaid first by later ones. `version` is the number of the account's last entry.
    """

    account: AccountName
    available: Credits
    held: Credits
    pending: Credits
    debt: Credits
    granted: Credits
    spent: Credits
    version: int
    frozen: bool


class Reward(Struct, frozen=True):
    """A block or an uncle by its hash, a withdrawal by its index."""

    kind: Literal["block", "uncle", "withdrawal"]
    hash: Hash | None
    index: int | None


class Origin(Struct, frozen=True):
    """The chain event a grant was made for, by its place among the logs of its transaction.

    What a stake earned by time has the end of its period instead, and some have a reward.
    """

    source: str
    chain_id: int
    tx_hash: Hash | None
    ordinal: int | None
    period_end: Utc | None
    reward: Reward | None


class Entry(Struct, frozen=True):
    """One row of the books.

    `movement` is the number (`seq`) of the first entry of what was done in one go, and only that
    entry names the operation, its units and price. `refers_to` is the number of a refund's charge,
    `grant` where a grant's credits come from.
    """

    seq: int
    kind: str
    amount: Credits
    available_after: Credits
    debt_after: Credits
    movement: int
    refers_to: int | None
    operation: str | None
    units: int | None
    price_version: int | None
    grant: Origin | None
    at: Utc


class EntryPage(Struct, frozen=True):
    """Entries, newest first. `next_cursor` is null on the last page."""

    data: list[Entry]
    next_cursor: str | None


class Earning(Struct, frozen=True):
    """What a wallet earned, or changed of its stake, by one event of a chain.

    An event earns by itself, adds to a stake or takes from it; what a stake earned in a period
    accrues, without a transaction: `amount` is then what earned at the period's end. Nor has a
    `reward` any: its `amount` is 1, or a withdrawal's gwei. `ordinal` is the event's place among
    the logs of its transaction. `confirmations_needed` is null where the chain's own finality
    decides. `due_block` is null unless a pending event waits longer than its chain does: then it is
    granted with that block, once that is confirmed.
    """

    state: Literal["pending", "confirmed", "reversed"]
    role: Literal["earns", "adds", "takes", "accrues"]
    source: str
    credits: Credits
    amount: BaseUnits
    chain_id: int
    chain: str
    wallet: Address
    tx_hash: Hash | None
    ordinal: int | None
    period_end: Utc | None
    reward: Reward | None
    block_number: int
    block_hash: Hash
    block_time: Utc
    confirmations: int
    confirmations_needed: int | None
    due_block: int | None


class EarningPage(Struct, frozen=True):
    """Earnings, newest first. `next_cursor` is null on the last page."""

    data: list[Earning]
    next_cursor: str | None


class Operation(Struct, frozen=True):
    """An operation and its price in force: `base` plus `per_unit` for every unit."""

    operation: OperationName
    version: int
    base: Credits
    per_unit: Credits
    unit: str
    effective_at: Utc


class OperationList(Struct, frozen=True):
    """Every operation that has a price in force."""

    data: list[Operation]


class Health(Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(Struct, frozen=True):
    """The process can charge: its ledger answers."""

    status: Literal["ready"] = "ready"


class Reorg(Struct, frozen=True):
    """A reorganisation of a chain that was undone in the books."""

    at: Utc
    depth: int


class ChainStatus(Struct, frozen=True):
    """How far a chain has been followed. Numbers are of blocks; `lag_blocks` lie in between."""

    chain_id: int
    chain: str
    state: str
    reason: str | None
    head_number: int
    indexed_number: int
    confirmed_number: int
    lag_blocks: int
    indexed_time: Utc | None
    confirmed_time: Utc | None
    reorgs: int
    last_reorg: Reorg | None
    watcher_seen_at: Utc | None


class AlarmStatus(Struct, frozen=True):
    """What an operator has to look at, and what helps. `chain` is null where it is the books."""

    chain: str | None
    alarm: str
    said: str
    remedy: str
    since: Utc


class Status(Struct, frozen=True):
    """Every chain that is followed, and all that an operator has to look at."""

    chains: list[ChainStatus]
    alarms: list[AlarmStatus]
