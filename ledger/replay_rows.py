"""The rows that a replay takes: entries and their accounts as COPY sends them, column by column."""

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Sent = npt.NDArray[np.void]  # rows as COPY sends them
Hashes = npt.NDArray[np.void]

# What an entry's hash is taken over: the hash before, twenty numbers (the last is the time in
# microseconds since 2000-01-01 UTC), the key and what was asked under it. -1 and zeros are null.
# The API key follows, but only where there is one.
_NUMBERS: Final = 20
_HASHED: Final = np.dtype(
    [
        ("before", "V32"),
        ("numbers", ">i8", (_NUMBERS,)),
        ("key", "V16"),
        ("request", "V16"),
        ("api_key", ">i8"),
    ]
)
_API_KEY_WIDTH: Final = 8
_NO_API_KEY: Final = -1
HASH: Final = np.dtype("V32")
_FIRST_HASHED: Final = struct.Struct(">qq")


def _sent(kind: str) -> list[tuple[str, str]]:
    """Return how COPY sends a value: its length, then itself."""
    return [("length", ">i4"), ("value", kind)]


# An entry as COPY sends it: the same, and then the hash.
ROW: Final = np.dtype(
    [
        ("values", ">i2"),
        ("numbers", _sent(">i8"), (_NUMBERS,)),
        ("key", _sent("V16")),
        ("request", _sent("V16")),
        ("api_key", _sent(">i8")),
        ("hash", _sent("V32")),
    ]
)
ROOT, ACCOUNT, SEQ, KIND, AMOUNT, AVAILABLE, HELD, DEBT = range(8)
AT: Final = 19
# Where an entry has its number an account's own row has this: it comes after all its entries.
OF_ACCOUNT: Final = 2**63 - 1
# From there on an account's row has its last number, then its balances and totals.
LAST_SEQ: Final = 3
OF_ACCOUNT_ROW: Final = slice(4, 19)
BALANCES: Final = (AVAILABLE, HELD, DEBT)
BEFORE_ALL: Final = -(2**63)

ROWS: Final = sql.SQL("""
    select root_id, account_id, seq, kind::bigint, amount, available_after, held_after, debt_after,
      coalesce(lot_no, -1), movement, coalesce(total, -1), coalesce(refers_to, -1),
      coalesce(peer_root, -1), coalesce(peer_account, -1), coalesce(member_id, -1),
      coalesce(app_id, -1)::bigint, coalesce(operation_id, -1)::bigint, coalesce(units, -1),
      coalesce(price_version, -1)::bigint, at,
      coalesce(key_hash, '00000000-0000-0000-0000-000000000000'),
      coalesce(request_hash, '00000000-0000-0000-0000-000000000000'),
      coalesce(api_key_id, -1)::bigint,
      case octet_length(hash) when 32 then hash else decode(repeat('00', 32), 'hex') end
    from entry
    union all
    select root_id, account_id, 9223372036854775807, seq, available, held, debt, granted, spent,
      refunded, reversed, owed, repaid, expired, absorbed, recovered, moved, debt_moved, line,
      'epoch', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000',
      -1::bigint,
      case octet_length(head_hash) when 32 then head_hash else decode(repeat('00', 32), 'hex') end
    from account order by 1, 2, 3""")


class Rows:
    """Rows in their order, by columns, each beside the row before it.

    `before` of an account's first row is nothing at all. Numbers wrap around at 64 bits.
    """

    def __init__(self, last: Sent | None, sent: bytes) -> None:
        now = np.frombuffer(sent, ROW)
        all_rows = np.concatenate((now[:1] if last is None else last, now))
        numbers = np.ascontiguousarray(all_rows["numbers"]["value"].T, dtype=np.int64)
        keys = numbers[[ROOT, ACCOUNT]]
        self.last = all_rows[-1:]
        self.sent = now
        self.numbers = numbers[:, 1:]
        self.begins: Mask = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        self.begins[0] |= last is None
        self.is_entry: Mask = self.numbers[SEQ] != OF_ACCOUNT
        # Whose row of the account has not come when the next account begins.
        self.is_left: Mask = self.begins & (numbers[SEQ, :-1] != OF_ACCOUNT)
        self.is_left[0] &= last is not None
        self._before = numbers[:, :-1]
        self.hashes = np.ascontiguousarray(all_rows["hash"]["value"])
        self.hashes_before = self.hashes[:-1].copy()
        self.hashes_before[self.begins] = self._first_hashes()
        self.hashes = self.hashes[1:]

    def before(self, number: int, nothing: int = 0) -> Column:
        """Return a number of the rows before; `nothing` where there is none."""
        return np.where(self.begins, nothing, self._before[number])

    def place_before(self, row: int) -> tuple[int, int, int]:
        """Return root, account and number of the row before."""
        root_id, account_id, seq = self._before[[ROOT, ACCOUNT, SEQ], row].tolist()
        return root_id, account_id, seq

    def digests(self) -> Hashes:
        """Return what the hash of each row should be, if it is an entry."""
        hashed = np.empty(len(self.sent), _HASHED)
        hashed["before"] = self.hashes_before
        hashed["numbers"] = self.sent["numbers"]["value"]
        hashed["key"] = self.sent["key"]["value"]
        hashed["request"] = self.sent["request"]["value"]
        api_keys = self.sent["api_key"]["value"]
        hashed["api_key"] = api_keys
        width = _HASHED.itemsize
        begins = np.arange(0, len(self.sent) * width, width)
        ends = begins + width - _API_KEY_WIDTH * (api_keys == _NO_API_KEY)
        sha256, text = hashlib.sha256, memoryview(hashed.tobytes())
        places = zip(begins.tolist(), ends.tolist(), strict=True)
        return _hashes([sha256(text[begin:end]) for begin, end in places])

    def _first_hashes(self) -> Hashes:
        keys = self.numbers[[ROOT, ACCOUNT]][:, self.begins].T.tolist()
        return _hashes([hashlib.sha256(_FIRST_HASHED.pack(*key)) for key in keys])


def _hashes(digests: "Iterable[hashlib._Hash]") -> Hashes:
    return np.frombuffer(b"".join([made.digest() for made in digests]), HASH)
