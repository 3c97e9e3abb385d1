"""The price file: what each operation costs, as TOML.

    [operations."chat.completion"]
    base = "0.5"          # credits for the call
    per_unit = "0.002"    # credits for each unit
    unit = "token"

All mistakes of a file are told together, each with its place and what helps.
"""

import difflib
import json
import re
import tomllib
from typing import Final, NamedTuple

from api.shapes import OPERATION_PATTERN
from ledger.credits import parse_credits
from ledger.operating import PriceRow

OPERATIONS_MAX: Final = 10_000  # applied in one statement; a price list is written by hand
OPERATION_LENGTH_MAX: Final = 100
UNIT_LENGTH_MAX: Final = 40  # one word, shown beside a price
SHOWN_LENGTH_MAX: Final = 40

_FIELDS: Final = ("base", "per_unit", "unit")
_OPERATION = re.compile(OPERATION_PATTERN, re.ASCII)
_UNIT = re.compile(r"[^\x00-\x1f\x7f]+")
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# A file in which every price is wrong needs no longer list to be mended.
MISTAKES_SHOWN_MAX: Final = 50


class PriceMistake(NamedTuple):
    """Where in the file (empty: all of it), and what is wrong and what helps."""

    place: str
    message: str


class PricesError(Exception):
    """A price file that cannot be used, with every mistake found in it for its author to mend."""

    def __init__(self, mistakes: tuple[PriceMistake, ...]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        lines = [
            f"{mistake.place}: {mistake.message}" if mistake.place else mistake.message
            for mistake in self.mistakes[:MISTAKES_SHOWN_MAX]
        ]
        hidden = len(self.mistakes) - len(lines)
        return "\n".join([*lines, f"and {hidden} more mistakes"] if hidden > 0 else lines)


def parse_prices(text: str) -> list[PriceRow]:
    """Return the prices that a price file holds, in its order. Raises PricesError."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PricesError((PriceMistake("", f"is not TOML: {error}"),)) from error
    except ValueError as error:
        # tomllib leaves a number of thousands of digits to int(), which refuses it.
        raise PricesError(
            (PriceMistake("", f"holds a number too long to read: {error}"),)
        ) from error
    mistakes = [
        PriceMistake(_quoted(name), 'is not known: prices stand under [operations."…"]')
        for name in document
        if name != "operations"
    ]
    operations = document.get("operations")
    rows: list[PriceRow] = []
    if not isinstance(operations, dict) or not operations:
        example = 'write a table [operations."chat.completion"] with base = "1"'
        mistakes.append(PriceMistake("operations", f"holds no prices: {example}"))
    elif len(operations) > OPERATIONS_MAX:
        message = f"{len(operations)} operations are more than {OPERATIONS_MAX}: price by units"
        mistakes.append(PriceMistake("operations", message))
    else:
        rows = [_price(name, price, mistakes) for name, price in operations.items()]
    if mistakes:
        raise PricesError(tuple(mistakes))
    return rows


def _price(name: str, price: object, mistakes: list[PriceMistake]) -> PriceRow:
    """Read one price, noting what is wrong; what is returned then is thrown away."""
    place = f"operations.{_quoted(name)}"
    if len(name) > OPERATION_LENGTH_MAX or _OPERATION.match(name) is None:
        message = (
            f"is no name of an operation: 1 to {OPERATION_LENGTH_MAX} letters, digits and . _ : / -"
        )
        mistakes.append(PriceMistake(place, message))
    if not isinstance(price, dict):
        message = f'is not a table: write [{place}] and below it base = "1"'
        mistakes.append(PriceMistake(place, message))
        return PriceRow(name, 0, 0, "unit")
    mistakes.extend(
        PriceMistake(f"{place}.{_quoted(field)}", _unknown(field))
        for field in price
        if field not in _FIELDS
    )
    if "base" not in price and "per_unit" not in price:
        message = 'has no price: give base or per_unit, "0" for what is free'
        mistakes.append(PriceMistake(place, message))
    return PriceRow(
        operation=name,
        base_micro=_credits(f"{place}.base", price.get("base", "0"), mistakes),
        per_unit_micro=_credits(f"{place}.per_unit", price.get("per_unit", "0"), mistakes),
        unit=_unit(f"{place}.unit", price.get("unit", "unit"), mistakes),
    )


def _credits(place: str, value: object, mistakes: list[PriceMistake]) -> int:
    if not isinstance(value, str):
        message = 'is not a text: credits stand in quotes, such as "12" or "0.5"'
        mistakes.append(PriceMistake(place, message))
        return 0
    try:
        return parse_credits(value)
    except ValueError as error:
        mistakes.append(PriceMistake(place, str(error)))
        return 0


def _unit(place: str, value: object, mistakes: list[PriceMistake]) -> str:
    if isinstance(value, str) and len(value) <= UNIT_LENGTH_MAX and _UNIT.fullmatch(value):
        return value
    message = f'is not a word for one unit, such as "token": 1 to {UNIT_LENGTH_MAX} characters'
    mistakes.append(PriceMistake(place, message))
    return ""


def _unknown(field: str) -> str:
    close = difflib.get_close_matches(field, _FIELDS, n=1)
    if close:
        return f'is not known: did you mean "{close[0]}"?'
    return f"is not known: a price has {', '.join(_FIELDS)}"


def _quoted(name: str) -> str:
    return name if _BARE_NAME.fullmatch(name) else json.dumps(name[:SHOWN_LENGTH_MAX])
