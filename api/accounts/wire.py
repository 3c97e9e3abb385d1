"""What travels of accounts: opening them, what they have, did and earned."""

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.shapes import (
    CHAIN_ID_MAX,
    LINE_PATTERN,
    AccountName,
    Address,
    BaseUnits,
    Credits,
    EarningName,
    Hash,
    MomentAsked,
    PageQuery,
    Utc,
)
from ledger.requests import BIGINT_MAX

EntryKindName = Literal[
    "grant",
    "charge",
    "refund",
    "reversal",
    "debt",
    "repayment",
    "expiry",
    "reserve",
    "settlement",
    "release",
    "absorption",
    "recovery",
    "move_out",
    "move_in",
    "debt_out",
    "debt_in",
    "credit_line",
    "line_cut",
]
# `from` is a word of Python's.
_WHEN: Final = {"since": "from", "until": "to"}
Since = Annotated[MomentAsked, Meta(description="From then on: RFC 3339, with the zone.")]
Until = Annotated[MomentAsked, Meta(description="Before then: RFC 3339, with the zone.")]


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

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE_PATTERN)] | UnsetType = (
        UNSET
    )
    wallet: WalletRequest | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.name is UNSET) == (self.wallet is UNSET):
            raise ValueError('Give either "name" or "wallet", not both')


class Account(Struct, frozen=True):
    """An account the app may reach."""

    id: AccountName


class BalanceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How new the balance has to be."""

    version: Annotated[
        int,
        Meta(
            ge=0,
            le=BIGINT_MAX,
            description="Not older than this: `Credits-Version` of the answer to a write.",
        ),
    ] = 0


class Balance(Struct, frozen=True):
    """What an account has.

    `available` can be spent now, `held` is reserved. `pending` waits for its chain to confirm it,
    all of it until about `pending_ready_at`, null where nobody can say; `debt` was spent of grants
    that were taken back and is repaid first by later ones. `version` is the number of the
    account's last entry.
    """

    account: AccountName
    available: Credits
    held: Credits
    pending: Credits
    pending_ready_at: Utc | None
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
    entry names the operation, its units and price; `model` is whose price that is, null for that of
    any. Where a reservation was settled by units, the first entry of that says how many were used.
    `refers_to` is the number of a refund's charge, `grant` where a grant's credits come from.
    """

    seq: int
    kind: str
    amount: Credits
    available_after: Credits
    debt_after: Credits
    movement: int
    refers_to: int | None
    operation: str | None
    model: str | None
    units: int | None
    price_version: int | None
    grant: Origin | None
    at: Utc


class EntryPage(Struct, frozen=True):
    """Entries, newest first. `next_cursor` is null on the last page."""

    data: list[Entry]
    next_cursor: str | None


class EntryQuery(PageQuery, frozen=True, forbid_unknown_fields=True, rename=_WHEN):
    """Which entries, newest first.

    A page looks at no more than some thousand entries: where few are of the `kind`, it may have
    few rows or none, and still a `next_cursor`.
    """

    kind: EntryKindName | None = None
    since: Since | None = None
    until: Until | None = None


class EntryFileQuery(Struct, frozen=True, forbid_unknown_fields=True, rename=_WHEN):
    """Which entries, newest first."""

    kind: EntryKindName | None = None
    since: Since | None = None
    until: Until | None = None


class EarningQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which earnings, newest first; `source` is the name of one."""

    state: Literal["pending", "confirmed", "reversed"] | None = None
    source: Annotated[str, Meta(max_length=200)] | None = None


class EarningFileQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which earnings, newest first; `source` is the name of one."""

    state: Literal["pending", "confirmed", "reversed"] | None = None
    source: Annotated[str, Meta(max_length=200)] | None = None


class UsageQuery(Struct, frozen=True, forbid_unknown_fields=True, rename=_WHEN):
    """How to sum up, and of which time: the last 30 days, if nothing is said."""

    group_by: Literal["operation", "api_key", "day"] = "operation"
    since: Since | None = None
    until: Until | None = None


class Usage(Struct, frozen=True):
    """How many charges were made, how many units were used, and what was taken for them.

    `group` is an operation, the number of an API key or a day (UTC); null for charges by no API
    key. `units` is the sum of those that entries say: what was settled by an amount says none.
    `refunded` was given back in this time, of charges of any time.
    """

    group: str | None
    charges: int
    units: int
    spent: Credits
    refunded: Credits


class UsageReport(Struct, frozen=True, rename=_WHEN):
    """What the account's charges took `from` then on and before `to`."""

    group_by: Literal["operation", "api_key", "day"]
    since: Utc
    until: Utc
    data: list[Usage]


class Earning(Struct, frozen=True):
    """What a wallet earned, or changed of its stake, by one event of a chain.

    An event earns by itself, adds to a stake or takes from it; what a stake earned in a period
    accrues, without a transaction: `amount` is then what earned at the period's end. Nor has a
    `reward` any: its `amount` is 1, or a withdrawal's gwei. `ordinal` is the event's place among
    the logs of its transaction. `confirmations_needed` is null where the chain's own finality
    decides. `due_block` is null unless a pending event waits longer than its chain does: then it is
    granted with that block, once that is confirmed. `ready_at` is when a pending one is expected
    to be granted, null where nobody can say. `entry` is the number of its grant among the
    account's entries. Any node of the chain shows the event: by the block's hash and `log_index`.
    """

    id: EarningName
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
    ready_at: Utc | None
    log_index: int
    entry: int | None


class EarningPage(Struct, frozen=True):
    """Earnings, newest first. `next_cursor` is null on the last page."""

    data: list[Earning]
    next_cursor: str | None
