"""Check an export of creditd's books. Needs Python 3.11 or later, nothing else.

    python verify_export.py books.jsonl [--earlier older.jsonl]

Recomputes from the description of the format alone (docs/export.md) every account's hash chain,
every balance on the way, the movements, the lots, the totals, and that what came in went out or is
here. Says the first thing that is wrong and where, and exits with 1; with 0 if all is right, with 2
if a file cannot be read. With --earlier, the books must begin as an older export of them ended.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Said = dict[str, Any]

# fmt: off
# Number and name of each kind of entry, and the sides that it moves credits between.
KIND = ("kind", "name", "from", "to")
KINDS = [
    (1, "grant", "issuance", "available"), (2, "charge", "available", "revenue"),
    (3, "refund", "revenue", "available"), (4, "reversal", "available", "issuance"),
    (5, "debt", "debt", "issuance"), (6, "repayment", "available", "debt"),
    (7, "expiry", "available", "expired"), (8, "reserve", "available", "held"),
    (9, "settlement", "held", "revenue"), (10, "release", "held", "available"),
    (11, "absorption", "loss", "issuance"), (12, "recovery", "available", "loss"),
    (13, "move_out", "available", "moved"), (14, "move_in", "moved", "available"),
    (15, "debt_out", "moved", "debt"), (16, "debt_in", "debt", "moved"),
    (17, "credit_line", "line", "available"), (18, "line_cut", "available", "line")]
GRANT, CHARGE, REFUND, REVERSAL, DEBT, REPAYMENT, EXPIRY, RESERVE, SETTLEMENT = range(1, 10)
RELEASE, ABSORPTION, RECOVERY, MOVE_OUT, MOVE_IN, DEBT_OUT, DEBT_IN, LINE, LINE_CUT = range(10, 19)
# The totals of an account: the kinds that add to each and, below zero, those that take from it.
TOTALS = {
    "granted": (GRANT,), "spent": (CHARGE, SETTLEMENT), "refunded": (REFUND,),
    "reversed": (REVERSAL,), "owed": (DEBT,), "repaid": (REPAYMENT,), "expired": (EXPIRY,),
    "absorbed": (ABSORPTION,), "recovered": (RECOVERY,), "moved": (MOVE_IN, -MOVE_OUT),
    "debt_moved": (DEBT_IN, -DEBT_OUT), "line": (LINE, -LINE_CUT),
}
# What each kind does to what is available, held and owed. A debt is a side that grows as it gives.
SIDES = (("available", 1), ("held", 1), ("debt", -1))
EFFECT = {
    kind: [by * ((into == side) - (out == side)) for side, by in SIDES]
    for kind, _, out, into in KINDS
}
OF_THE_FIRST = ["total", "app", "key", "request", "api_key", "operation", "units", "price_version"]
# The fields of each line (# an integer, [] a list, ? optional), an entry's as its hash takes them.
FIELDS = {
    "header": "format version# of made_at first_hash hash kinds[]",
    "account": "name root# account#",
    "entry": "seq# kind# amount# available_after# held_after# debt_after# lot#? movement# total#?"
    " refers_to#? peer_root#? peer_account#? member#? app#? operation#? units#? price_version#?"
    " at key? request? api_key#? hash",
    "lot": "lot# source rule? cause? incarnation#? reason? amount# remaining# held# expired#"
    " reversed# moved# absorbed# priority# effective_at? expires_at? operations[]? origin_root#?"
    " origin_account#? origin_lot#? state",
    "head": "kind status seq# available# held# debt# granted# spent# refunded# reversed# owed#"
    " repaid# expired# absorbed# recovered# moved# debt_moved# line# head",
    "end": "accounts# entries# lots# sha256",
}
TYPES = {
    row: {of.rstrip("#?[]"): (int if "#" in of else list if "[" in of else str, "?" in of)
          for of in fields.split()} for row, fields in FIELDS.items()
}
# fmt: on
NUMBERS = [name for name, (type_, _) in TYPES["entry"].items() if type_ is int]
HASHED = struct.Struct(">32s20q16s16s")
FIRST_HASH = "sha256(root, account)"
HASH = f"sha256(hash before, root, account, {', '.join(NUMBERS[:-1])}, at, key, request"
HASHES = (f"{HASH})", f"{HASH}, api_key if any)")  # the first is that of older exports
# What an entry of a kind refers to: movements that begin with one of these.
REFERS = {REFUND: (CHARGE, SETTLEMENT), SETTLEMENT: (RESERVE,), RELEASE: (RESERVE,)}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # where the time in a hash begins, in microseconds
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{32}", re.ASCII)
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class Wrong(Exception):
    """The first thing wrong: whose, at which entry (0: none), and what."""

    def __init__(self, what: str, account: str = "", seq: int = 0) -> None:
        where = account + (f" entry {seq}" if seq else "")
        super().__init__(f"{where}: {what}" if where else what)
        self.what, self.account, self.seq = what, account, seq


@dataclass
class Lot:
    """A lot as the entries tell of it."""

    made: tuple[int, int]  # kind and amount of the entry that made it
    sides: list[int] = field(default_factory=lambda: [0, 0])  # what is left of it, and held
    sums: Counter[int] = field(default_factory=Counter)


@dataclass
class Account:
    """An account as far as it has been read."""

    name: str
    root: int
    account: int
    seq: int = 0
    hash: bytes = b""
    at: int = -(2**63)
    sides: list[int] = field(default_factory=lambda: [0, 0, 0])  # available, held, debt
    movement: int = 0
    left: dict[int, int] = field(default_factory=dict)  # of the movement's total, by kind
    sums: Counter[int] = field(default_factory=Counter)
    lots: dict[int, Lot] = field(default_factory=dict)
    kinds: "array[int]" = field(default_factory=lambda: array("b"))  # of first entries, else 0
    totals: "array[int]" = field(default_factory=lambda: array("q"))  # of those, else -1
    undone: Counter[tuple[bool, int]] = field(default_factory=Counter)
    last_lot: int = 0
    lots_said: int = 0

    def must(self, right: bool, what: str, seq: int | None = None) -> None:
        """Raise Wrong, at the entry at hand if none is named, unless this is right."""
        if not right:
            raise Wrong(what, self.name, self.seq if seq is None else seq)

    def must_add_up(self, last: int) -> None:
        """Raise Wrong unless the movement that ends came to what its first entry said."""
        self.must(not any(self.left.values()), "its movement's total is another one", last)


@dataclass
class Books:
    """What has been checked, and what only the end can tell."""

    scope: str = ""
    accounts: int = 0
    entries: int = 0
    lots: int = 0
    moved: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    last: tuple[int, int] = (-1, -1)


def verify(lines: Iterable[bytes], earlier: Books | None = None) -> Books:
    """Check an export. Returns what it holds. Raises Wrong at the first thing that is not right."""
    books, digest, account, ended = Books(), hashlib.sha256(), None, False
    for number, text in enumerate(lines, 1):
        said = _parsed(text, number)
        row = said["row"]
        inside = row in ("entry", "lot", "head")
        if ended or (number == 1) != (row == "header") or inside != (account is not None):
            raise Wrong(f"line {number}: a line of kind {row} is out of place")
        if row == "header":
            books.scope = _check_header(said)
        elif row == "account":
            account = _begin(books, said)
        elif account is None:
            _check_end(books, said, digest.hexdigest(), earlier)
            ended = True
        elif row == "entry":
            _check_entry(books, account, said, earlier)
        elif row == "lot":
            _check_lot(books, account, said)
        else:
            _check_head(books, account, said)
            account = None
        digest.update(text)
    if not ended:
        raise Wrong("it has no end: it was cut off")
    return books


def _parsed(text: bytes, number: int) -> Said:
    """Return a line's object: its fields are the known ones, and of their types."""
    try:
        said: Said = json.loads(text)
        types = TYPES[said["row"]]
    except (ValueError, KeyError, TypeError):
        raise Wrong(f"line {number} is not a line of an export") from None
    for name, (type_, may_be_left_out) in types.items():
        value = said.get(name)
        if name not in said and may_be_left_out:
            continue
        if type(value) is not type_ or (type(value) is int and not -(2**63) <= value < 2**63):
            raise Wrong(f"line {number}: its {name} is missing or not of the right type")
    if extra := said.keys() - types.keys() - {"row"}:
        raise Wrong(f"line {number} says {min(extra)}, which is no field of such a line")
    return said


def _check_header(said: Said) -> str:
    if (said["format"], said["version"]) != ("creditd-export", 1):
        raise Wrong("it is no creditd-export of version 1")
    kinds = [dict(zip(KIND, kind, strict=True)) for kind in KINDS]
    if (said["kinds"], said["first_hash"]) != (kinds, FIRST_HASH) or said["hash"] not in HASHES:
        raise Wrong("the header describes other kinds of entries, or other hashes")
    return str(said["of"])


def _name(root: int, account: int) -> str:
    letters = [
        "".join(LETTERS[number >> shift & 31] for shift in range(60, -1, -5))
        for number in ((account,) if root == account else (root, account))
    ]
    return "acct_" + "".join(letters)


def _begin(books: Books, said: Said) -> Account:
    key = (said["root"], said["account"])
    name = _name(*key)
    first = hashlib.sha256(struct.pack(">qq", *key)).digest()
    account = Account(said["name"], *key, hash=first)
    account.must(account.name == name, f"by its numbers it is the account {name}")
    account.must(books.scope in ("books", name), f"the export is of {books.scope}")
    account.must(key > books.last, "the account is out of its order")
    books.last = key
    books.accounts += 1
    return account


def _check_entry(books: Books, account: Account, said: Said, earlier: Books | None) -> None:
    account.seq += 1
    kind, amount, seq = said["kind"], said["amount"], account.seq
    account.must(not account.last_lot, "an entry comes after the lots")
    account.must(said["seq"] == seq, "its number is not the next")
    account.must(kind in EFFECT, "there is no such kind of entry")
    least = 0 if kind in (CHARGE, RESERVE, SETTLEMENT) else 1
    account.must(amount >= least, "it moves nothing, or less")
    account.must(TIME.fullmatch(said["at"]) is not None, "its time is not of the right form")
    passed = datetime.fromisoformat(said["at"]) - EPOCH
    at = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    account.must(at > account.at, "it is not later than the entry before it")
    _check_hash(account, said, at)
    known, head = earlier.heads.get(account.name, (0, "")) if earlier else (0, "")
    account.must(known != seq or head == said["hash"], "an earlier export tells another history")
    sides = [side + by * amount for side, by in zip(account.sides, EFFECT[kind], strict=True)]
    after = [said["available_after"], said["held_after"], said["debt_after"]]
    account.must(sides == after, "it leaves other balances than its amount makes")
    account.must(min(sides) >= 0, "it leaves a balance below zero")
    account.at, account.sides = at, sides
    account.sums[kind] += amount
    books.entries += 1
    _check_movement(account, said)
    _check_reference(account, said)
    _follow_lot(account, said)
    _check_peer(books, account, said)


def _check_hash(account: Account, said: Said, at: int) -> None:
    *numbers, api_key = [said.get(name, -1) for name in NUMBERS]
    account.must(min(said.get(name, 0) for name in NUMBERS) >= 0, "a number of it is below zero")
    digests = [said.get("key", "00" * 16), said.get("request", "00" * 16)]
    account.must(all(map(DIGEST.fullmatch, digests)), "its key or request is no digest")
    taken = (account.root, account.account, *numbers, at, *map(bytes.fromhex, digests))
    by = api_key.to_bytes(8) if api_key >= 0 else b""
    account.hash = hashlib.sha256(HASHED.pack(account.hash, *taken) + by).digest()
    account.must(said["hash"] == account.hash.hex(), "its hash is not of the last and its fields")


def _check_movement(account: Account, said: Said) -> None:
    """Hold an entry against its movement: one run, of which a settlement may charge a part."""
    seq, kind = account.seq, said["kind"]
    is_first = said["movement"] == seq
    account.must(("key" in said) == ("request" in said), "a key goes with what it asked for")
    if is_first:
        account.must_add_up(seq - 1)
        account.movement = seq
        whole = "total" in said and kind in (GRANT, CHARGE, REFUND, RESERVE, SETTLEMENT)
        account.left = {kind: said["total"]} if whole else {}
    else:
        account.must(said["movement"] == account.movement, "its movement is not right before it")
        extra = [name for name in OF_THE_FIRST if name in said]
        account.must(not extra, f"only the first entry of a movement says its {extra}")
    of = SETTLEMENT if kind == CHARGE and SETTLEMENT in account.left else kind
    if of in account.left:
        account.left[of] -= said["amount"]
    account.kinds.append(kind if is_first else 0)
    account.totals.append(said.get("total", -1))


def _check_reference(account: Account, said: Said) -> None:
    """Hold refunds, settlements and releases against what they refer to."""
    kind, to = said["kind"], said.get("refers_to")
    wanted = REFERS.get(kind, ())
    account.must(to is not None or not wanted, "it does not say what it refers to")
    if to is None:
        return
    account.must(1 <= to < account.seq, "it refers to no entry before it")
    if wanted:
        account.must(account.kinds[to - 1] in wanted, "it refers to nothing of that kind")
        done = (kind == REFUND, to)
        account.undone[done] += said["amount"]
        undone = account.undone[done]
        account.must(undone <= account.totals[to - 1], "it undoes more than was done")


def _follow_lot(account: Account, said: Said) -> None:
    kind, amount, number = said["kind"], said["amount"], said.get("lot")
    if number is None:
        account.must(amount == 0 or kind in (DEBT_OUT, DEBT_IN), "it names no lot")
        return
    if number == account.seq:
        account.must(kind in (GRANT, REFUND, MOVE_IN, LINE), "its kind makes no lot")
        account.lots[number] = Lot((kind, amount))
    else:
        account.must(kind not in (GRANT, MOVE_IN), "what comes in makes a lot of its own")
        account.must(number in account.lots, "there is no such lot before it")
    lot = account.lots[number]
    lot.sides = [side + by * amount for side, by in zip(lot.sides, EFFECT[kind][:2], strict=True)]
    lot.sums[kind] += amount
    account.must(min(lot.sides) >= 0, "it takes more than is left of its lot")


def _check_peer(books: Books, account: Account, said: Said) -> None:
    kind, peer = said["kind"], (said.get("peer_root"), said.get("peer_account"))
    moves, named = kind in (MOVE_OUT, MOVE_IN, DEBT_OUT, DEBT_IN), None not in peer
    account.must(moves == named and (named or not any(peer)), "it names another account, or none")
    if moves:
        pair = [account.name, _name(said["peer_root"], said["peer_account"])]
        leaves = kind in (MOVE_OUT, DEBT_OUT)
        giver, taker = pair if leaves else pair[::-1]
        what = "credits" if kind in (MOVE_OUT, MOVE_IN) else "debt"
        books.moved[giver, taker, what] += said["amount"] if leaves else -said["amount"]


def _check_lot(books: Books, account: Account, said: Said) -> None:
    number = said["lot"]
    account.must(number in account.lots, "no entry made this lot", number)
    account.must(number > account.last_lot, "its lot is out of its order", number)
    account.last_lot = number
    account.lots_said += 1
    books.lots += 1
    lot = account.lots[number]
    should = {"remaining": lot.sides[0], "held": lot.sides[1], "moved": lot.sums[MOVE_OUT]}
    should |= {"expired": lot.sums[EXPIRY], "reversed": lot.sums[REVERSAL]}
    should |= {"amount": lot.made[1]} if lot.made[0] != LINE else {}
    for name, value in should.items():
        account.must(said[name] == value, f"its lot's {name} is {value} by the entries", number)
    absorbed = lot.sums[ABSORPTION]
    account.must(0 <= said["absorbed"] <= absorbed, f"of it {absorbed} were absorbed", number)
    states = ("live",) if lot.sides[0] else ("live", "reversed")
    account.must(said["state"] in states, "its lot cannot be in that state", number)


def _check_head(books: Books, account: Account, said: Said) -> None:
    account.must_add_up(account.seq)
    account.must(account.lots_said == len(account.lots), "some of its lots are missing")
    sums = account.sums
    should: dict[str, object] = {"seq": account.seq, "head": account.hash.hex()}
    should |= {name: side for (name, _), side in zip(SIDES, account.sides, strict=True)}
    for name, kinds in TOTALS.items():
        should[name] = sum(sums[kind] if kind > 0 else -sums[-kind] for kind in kinds)
    for name, value in should.items():
        account.must(said[name] == value, f"the account's {name} is {value} by its entries")
    books.heads[account.name] = (account.seq, account.hash.hex())


def _check_end(books: Books, said: Said, digest: str, earlier: Books | None) -> None:
    counts = (books.accounts, books.entries, books.lots)
    if (said["accounts"], said["entries"], said["lots"]) != counts:
        raise Wrong(f"its end counts other accounts, entries or lots than these {counts}")
    if books.scope != "books" and books.accounts != 1:
        raise Wrong(f"it is of {books.scope} and does not hold it")
    for (giver, taker, what), amount in books.moved.items():
        if amount and books.scope == "books":
            raise Wrong(f"of the {what} moved to {taker}, {amount} more left than came", giver)
    for name, (seq, _) in earlier.heads.items() if earlier else ():
        if books.scope in ("books", name) and books.heads.get(name, (-1, ""))[0] < seq:
            raise Wrong(f"an earlier export has {seq} entries of it", name)
    if said["sha256"] != digest:
        raise Wrong("a line was changed: the digest at its end is another one")


def main() -> int:
    """Check the files named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("export", type=Path, help="the export, a file of JSON lines")
    parser.add_argument("--earlier", type=Path, help="an older export of the same books")
    options = parser.parse_args()
    books = None
    for path in filter(None, (options.earlier, options.export)):
        try:
            with path.open("rb") as lines:
                books = verify(lines, books)
        except (OSError, Wrong) as error:
            sys.stderr.write(f"{path}: {error}\n")
            return 1 if isinstance(error, Wrong) else 2
        counts = f"{books.accounts} accounts, {books.entries} entries, {books.lots} lots"
        sys.stdout.write(f"{path}: all is right: {counts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
