"""What travels of signing in, and of linking wallets."""

from typing import Annotated

from msgspec import Meta, Struct

from api.identity.signatures import SIGNATURE_BYTES_MAX
from api.identity.siwe import MESSAGE_LENGTH_MAX
from api.shapes import CHAIN_ID_MAX, AccountName, Address, Credits, PageQuery, Utc

ChainId = Annotated[int, Meta(ge=1, le=CHAIN_ID_MAX)]
AddressAsked = Annotated[
    str, Meta(max_length=80, description="0x and 40 digits; mixed case must be right by EIP-55.")
]


class SignInChallengeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The wallet that is to sign in."""

    chain_id: ChainId
    address: AddressAsked


class LinkChallengeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The wallet that is to be linked.

    An app says to which `account`; whoever signed in has one.
    """

    chain_id: ChainId
    address: AddressAsked
    account: AccountName | None = None


class Challenge(Struct, frozen=True):
    """A text for the wallet to sign as it stands (EIP-4361), once, before `expires_at`."""

    message: str
    nonce: str
    expires_at: Utc


class SignedMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A text as it was given out, and the wallet's signature of it (EIP-191 or EIP-1271)."""

    message: Annotated[str, Meta(max_length=MESSAGE_LENGTH_MAX)]
    signature: Annotated[
        str, Meta(max_length=2 + 2 * SIGNATURE_BYTES_MAX, description="0x and hexadecimal digits.")
    ]


class Wallet(Struct, frozen=True):
    """An address on one chain."""

    chain_id: int
    address: Address


class Session(Struct, frozen=True):
    """Who is signed in, by which wallet, and until when if nothing is done before."""

    account: AccountName
    wallet: Wallet
    expires_at: Utc


class SignedOut(Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class LinkedWallet(Struct, frozen=True):
    """A wallet that earns for the account; without `chain_id`, its address does on every chain.

    The account's `own` wallet does so without a link.
    """

    address: Address
    chain_id: int | None
    own: bool
    linked_at: Utc | None


class LinkedWallets(Struct, frozen=True):
    """Wallets that earn for the account, by address. `next_cursor` is null on the last page."""

    data: list[LinkedWallet]
    next_cursor: str | None


class WalletsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Whose wallets, and which page of them."""

    account: (
        Annotated[str, Meta(max_length=64, description="Of an app; others have one.")] | None
    ) = None


class WalletLinked(Struct, frozen=True):
    """The wallet earns for the account; without `chain_id`, its address does on every chain.

    `moved` credits and `debt` came along now.
    """

    account: AccountName
    address: Address
    chain_id: int | None
    moved: Credits
    debt: Credits


class UnlinkQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose wallet, and on which chain: without one, on every chain."""

    account: (
        Annotated[str, Meta(max_length=64, description="Of an app; others have one.")] | None
    ) = None
    chain_id: ChainId | None = None


class WalletUnlinked(Struct, frozen=True):
    """What the wallet earns from now on is its own again."""

    account: AccountName
    address: Address
    chain_id: int | None
