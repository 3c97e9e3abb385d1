"""What travels of accounts: opening them, what they have, did and earned."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.shapes import (
    CHAIN_ID_MAX,
    LINE_PATTERN,
    SEQ_MAX,
    AccountName,
    Address,
    BaseUnits,
    Credits,
    Hash,
    Utc,
)


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
            le=SEQ_MAX,
            description="Not older than this: `Credits-Version` of the answer to a write.",
        ),
    ] = 0


class Balance(Struct, frozen=True):
    """What an account has.

    `available` can be spent now, `held` is reserved. `pending` waits for its chain to confirm it,
    all of it until about `pending_ready_at`, null where nobody can say; `debt` was spent of grants
    that a reorg took back and is repaid first by later ones. `version` is the number of the
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
    any. `refers_to` is the number of a refund's charge, `grant` where a grant's credits come from.
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
