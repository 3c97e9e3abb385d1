"""What shapes on the wire are made of, and the ones that every part needs.

The same types decode the requests and make the OpenAPI document. Credits travel as decimal strings,
amounts of tokens as strings of base units, times as RFC 3339 in UTC, names as `acct_…`, `chg_…`,
`rfd_…`, addresses with their EIP-55 checksum.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

UNITS_MAX: Final = 1_000_000_000  # far above a request's tokens, far below where a price overflows
PAGE_ROWS_MAX: Final = 200  # a page stays under 100 KiB
PAGE_ROWS_DEFAULT: Final = 50
CURSOR_LENGTH_MAX: Final = 1_200  # where it names an account by 200 letters of four bytes each
CHAIN_ID_MAX: Final = 9_223_372_036_854_775_771  # EIP-2294's bound
RESERVATION_SECONDS_MAX: Final = 30 * 86_400  # as the books have it
PRICE_VERSION_MAX: Final = 2**31 - 1  # the books number versions with 32 bits

OPERATION_LENGTH_MAX: Final = 100

# The look-ahead refuses a last newline, which Python's `$` would let pass.
OPERATION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$(?!\n)"
LINE_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$(?!\n)"

# The names the ledger gives, as a document says them; where they are read more is said of a wrong
# one than that it does not match.
_LETTERS: Final = "[0-3][0-9a-hjkmnp-tv-z]{12}"
ACCOUNT_PATTERN: Final = rf"^acct_({_LETTERS}){{1,2}}$"
CHARGE_PATTERN: Final = rf"^chg_({_LETTERS}){{1,2}}_[0-9a-hjkmnp-tv-z]{{1,13}}$"
RESERVATION_PATTERN: Final = rf"^rsv_({_LETTERS}){{1,2}}_[0-9a-hjkmnp-tv-z]{{1,13}}$"

CreditsAsked = Annotated[
    str,
    Meta(
        max_length=40,
        examples=["0.5"],
        extra_json_schema={"pattern": r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?$"},
    ),
]
AccountAsked = Annotated[str, Meta(max_length=64, extra_json_schema={"pattern": ACCOUNT_PATTERN})]
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
EarningName = Annotated[str, Meta(pattern=r"^ern_", max_length=64)]
RefundName = Annotated[str, Meta(pattern=r"^rfd_", max_length=64)]
OperationName = Annotated[
    str,
    Meta(
        pattern=OPERATION_PATTERN,
        max_length=OPERATION_LENGTH_MAX,
        examples=["chat.completion"],
    ),
]
ModelName = Annotated[
    str,
    Meta(
        pattern=OPERATION_PATTERN,
        max_length=OPERATION_LENGTH_MAX,
        examples=["small", "vendor/model-2:latest"],
    ),
]
Address = Annotated[str, Meta(pattern=r"^0[xX][0-9a-fA-F]{40}$")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{64}$")]
Utc = Annotated[datetime, Meta(tz=True)]
# A time in a query, as text: of a query, msgspec would take a number for seconds. `moment_asked`
# reads it.
MomentAsked = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]


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
        Annotated[
            str,
            Meta(max_length=CURSOR_LENGTH_MAX, description="`next_cursor` of the page before."),
        ]
        | None
    ) = None
