"""What travels on the operator's port."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.shapes import (
    CHAIN_ID_MAX,
    LINE_PATTERN,
    AccountAsked,
    AccountName,
    Address,
    Credits,
    CreditsAsked,
    Hash,
    PageQuery,
    Utc,
)
from ledger.operator_reading import ActKind
from ledger.requests import BIGINT_MAX

By = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=LINE_PATTERN, description="Your name.")
]
Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=LINE_PATTERN)]
BlockAsked = Annotated[int, Meta(ge=0, le=BIGINT_MAX)]
Bytes = Annotated[str, Meta(pattern=r"^0x([0-9a-f]{2})*$")]


class Signed(Struct, frozen=True, forbid_unknown_fields=True):
    """Who does something, and why: both are kept, with the API key."""

    by: By
    reason: Reason


class AdjustmentRequest(Signed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits that put something right: what is owed is paid of them first."""

    account: AccountAsked
    amount: CreditsAsked


class Adjustment(Struct, frozen=True):
    """Credits that an operator granted. `grant` is the number of its entry in the account."""

    account: AccountName
    grant: int
    amount: Credits
    repaid: Credits
    available: Credits
    at: Utc


class TakeBackRequest(Signed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant that no chain made, by the number of its entry."""

    account: AccountAsked
    grant: Annotated[int, Meta(ge=1)]


class TakenBack(Struct, frozen=True):
    """A grant taken back: `taken` was left of it; what was spent of it is owed.

    `available` and `debt` are what the account has and owes now.
    """

    account: AccountName
    grant: int
    granted: Credits
    taken: Credits
    available: Credits
    debt: Credits


class WalletLinkRequest(Signed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address that cannot sign, and the account it is to earn for: on one chain, or (null) all.

    On all only where a key holds it: a contract's address may belong to others elsewhere.
    """

    account: AccountAsked
    address: Annotated[str, Meta(max_length=80)]
    chain_id: Annotated[int, Meta(ge=1, le=CHAIN_ID_MAX)] | None


class WalletLink(Struct, frozen=True):
    """A link: `wallets` were linked now, and `moved` credits and `debt` came along with them."""

    account: AccountName
    address: Address
    chain_id: int | None
    wallets: int
    moved: Credits
    debt: Credits


class EndedLink(Struct, frozen=True):
    """A link that is no more: what is earned later is the wallet's own."""

    account: AccountName
    address: Address
    chain_id: int | None


class AccountStatus(Struct, frozen=True):
    """Whether an account is frozen, and whether that is new."""

    account: AccountName
    frozen: bool
    changed: bool


class Source(Struct, frozen=True):
    """A source: what it follows, how far, and what came of it.

    `seen` counts its events, `pending` and `granted_events` those of them that wait and that were
    granted, `set_aside` logs that it did not understand. `followed_to` is the last block read.
    """

    source: str
    kind: Literal["mining", "staking"]
    chain: str
    chain_id: int
    contract: Address
    event: str
    from_block: int
    to_block: int | None
    followed: bool
    followed_to: int
    confirmed_to: int
    seen: int
    pending: int
    granted_events: int
    granted: Credits
    set_aside: int


class SourcePage(Struct, frozen=True):
    """Sources. `next_cursor` is null on the last page."""

    data: list[Source]
    next_cursor: str | None


class SetAsideQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which page, of one chain or source or of all."""

    chain: Annotated[str, Meta(max_length=100)] | None = None
    source: Annotated[str, Meta(max_length=100)] | None = None


class SetAsideLog(Struct, frozen=True):
    """A log that no source understood, and why. `remedy` decodes it again."""

    chain: str
    chain_id: int
    source: str
    tx_hash: Hash
    ordinal: int
    block_number: int
    block_hash: Hash
    log_index: int
    address: Address
    topics: list[Bytes]
    data: Bytes
    reason: str
    seen_at: Utc
    is_final: bool
    remedy: str


class SetAsidePage(Struct, frozen=True):
    """Logs that are set aside. `next_cursor` is null on the last page."""

    data: list[SetAsideLog]
    next_cursor: str | None


class ReplayRequest(Signed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source, by its configured name, whose logs that are set aside are to be decoded again.

    Those of blocks `first_block` to `last_block`; null: of all from the first on.
    """

    source: Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE_PATTERN)]
    first_block: BlockAsked = 0
    last_block: BlockAsked | None = None


class KeptLog(Struct, frozen=True):
    """A log that stays set aside, by what `GET /v1/set-aside` names it, and why it does now."""

    tx_hash: Hash
    ordinal: int
    block_number: int
    reason: str


class Replay(Struct, frozen=True):
    """What became of logs that were set aside: so many were entered and granted, so many stay.

    `kept` are some of those that stay, from the lowest block on; `kept_count` counts all.
    """

    source: str
    granted_events: int
    kept_count: int
    kept: list[KeptLog]


class Act(Struct, frozen=True):
    """What an operator did, who, by which API key (null: by a command), and why.

    A replay is about a `source` and blocks, and is kept before it begins; the others are about an
    `account`.
    """

    number: int
    kind: ActKind
    account: AccountName | None
    source: str | None
    first_block: int | None
    last_block: int | None
    grant: int | None
    amount: Credits | None
    address: Address | None
    chain_id: int | None
    api_key: int | None
    by: str
    reason: str
    at: Utc


class ActPage(Struct, frozen=True):
    """What operators did, newest first. `next_cursor` is null on the last page."""

    data: list[Act]
    next_cursor: str | None


class OperatorAlarm(Struct, frozen=True):
    """What has to be looked at, and what helps. `chain` is null where it is the books."""

    chain: str | None
    alarm: str
    said: str
    remedy: str
    since: Utc


class OperatorAlarms(Struct, frozen=True):
    """All that has to be looked at now."""

    data: list[OperatorAlarm]


class LastAudit(Struct, frozen=True):
    """What the last audit of all books found. `at` is null if there was none yet."""

    at: Utc | None
    breaches: int | None
    said: str | None
