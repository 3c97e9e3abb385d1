"""Names of accounts and movements as they are seen outside.

`acct_` names an account and carries its root, `chg_`, `rfd_` and `rsv_` name a movement by its
account and the number of its first entry: a look-up by name is one look-up by primary key on one
shard. What a reservation's settlement took is a charge by name: it is refunded as one.
Account numbers are random, so a name tells nobody how many there are.
"""

import re
import string
from typing import Final, NamedTuple

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no i, l, o, u
_WIDTH: Final = 13  # 13 letters of 5 bits hold 63 bits and leave the top two clear
_NUMBER: Final = re.compile(f"[{_ALPHABET}]{{{_WIDTH}}}")
# To the digits that `int` reads to base 32, and from ten bits at a time: names are on every charge.
_DIGITS: Final = bytes.maketrans(
    _ALPHABET.encode(), (string.digits + string.ascii_lowercase)[:32].encode()
)
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


class AccountRef(NamedTuple):
    """One account and the root it stands under (itself, unless it is a membership)."""

    root_id: int
    account_id: int


class MovementRef(NamedTuple):
    """One movement of an account, by the number of its first entry."""

    account: AccountRef
    seq: int


def format_account(account: AccountRef) -> str:
    """Return the account's public name, `acct_…`."""
    return f"acct_{_account_letters(account)}"


def parse_account(text: str) -> AccountRef:
    """Return the account that `acct_…` names. Raises ValueError if it names none."""
    return _parse_account_letters(_without_prefix(text, "acct_"), text)


def format_movement(kind: str, movement: MovementRef) -> str:
    """Return a movement's public name: such as `chg_…`, `rfd_…` or `rsv_…`."""
    return (
        f"{kind}_{_account_letters(movement.account)}_{_letters(movement.seq).lstrip('0') or '0'}"
    )


def parse_movement(kind: str, text: str) -> MovementRef:
    """Return the movement that `chg_…` (or its kind) names. Raises ValueError if it names none."""
    letters, _, seq = _without_prefix(text, f"{kind}_").partition("_")
    return MovementRef(_parse_account_letters(letters, text), _number(seq.rjust(_WIDTH, "0"), text))


def _account_letters(account: AccountRef) -> str:
    if account.root_id == account.account_id:
        return _letters(account.account_id)
    return _letters(account.root_id) + _letters(account.account_id)


def _parse_account_letters(letters: str, text: str) -> AccountRef:
    if len(letters) == _WIDTH:
        number = _number(letters, text)
        return AccountRef(number, number)
    if len(letters) == 2 * _WIDTH:
        return AccountRef(_number(letters[:_WIDTH], text), _number(letters[_WIDTH:], text))
    raise ValueError(f"{text[:80]!r} is not a name the ledger gave")


def _without_prefix(text: str, prefix: str) -> str:
    if not text.startswith(prefix):
        raise ValueError(f"{text[:80]!r} does not start with {prefix!r}")
    return text.removeprefix(prefix)


def _letters(number: int) -> str:
    return (
        f"{_ALPHABET[number >> 60 & 31]}{_PAIRS[number >> 50 & 1023]}{_PAIRS[number >> 40 & 1023]}"
        f"{_PAIRS[number >> 30 & 1023]}{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}"
        f"{_PAIRS[number & 1023]}"
    )


def _number(letters: str, text: str) -> int:
    if _NUMBER.fullmatch(letters) is not None:
        number = int(letters.encode().translate(_DIGITS), 32)
        if number < 1 << 62:
            return number
    raise ValueError(f"{text[:80]!r} is not a name the ledger gave")


def format_earning(number: int) -> str:
    """Return an earning's public name, `ern_…`: it is one only together with its account."""
    return f"ern_{_letters(number).lstrip('0') or '0'}"


def parse_earning(text: str) -> int:
    """Return the number of the earning that `ern_…` names. Raises ValueError if it names none."""
    return _number(_without_prefix(text, "ern_").rjust(_WIDTH, "0"), text)
