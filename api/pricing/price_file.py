"""The price list as a file: what each operation costs, as TOML.

    [operations."chat.completion"]
    base = "0.5"                              # credits for the call
    per_unit = "0.002"                        # credits for each unit
    unit = "token"
    tiers = [{ above = 1000, per_unit = "0.001" }]      # each unit above the thousandth

    [operations."chat.completion".models."large"]       # a price of its own
    per_unit = "0.01"

    [[operations."chat.completion".later]]              # instead, from then on
    effective_at = 2030-01-01T00:00:00Z
    base = "0.6"

All mistakes of a file are told together, each with its place and what helps.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from api.shapes import OPERATION_LENGTH_MAX, OPERATION_PATTERN, UNITS_MAX
from ledger.credits import parse_credits
from ledger.price_book import ANY_MODEL, PriceRow, Tier

PRICES_MAX: Final = 10_000  # applied in one statement; a price list is written by hand
TIERS_MAX: Final = 20  # read for every charge; nobody remembers more
UNIT_LENGTH_MAX: Final = 40  # one word, shown beside a price
SHOWN_LENGTH_MAX: Final = 40
# Ten thousand prices with long names are less than half of this: more is the wrong file.
FILE_BYTES_MAX: Final = 4_194_304

_TERMS: Final = ("base", "per_unit", "unit", "tiers", "effective_at")
_OF_MODEL: Final = (*_TERMS, "later")
_OF_OPERATION: Final = (*_OF_MODEL, "models")
_OF_TIER: Final = ("above", "per_unit")
_NAME = re.compile(OPERATION_PATTERN, re.ASCII)
_UNIT = re.compile(r"[^\x00-\x1f\x7f]+")
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# A file in which every price is wrong needs no longer list to be mended.
MISTAKES_SHOWN_MAX: Final = 50


class PriceMistake(NamedTuple):
    """Where in the file (empty: all of it), and what is wrong and what helps."""

    place: str
    message: str


class PricesError(Exception):
    """A price list that cannot be used, with every mistake in it for its author to mend.

    `str()` is one line per mistake, each led by the file if it is known.
    """

    def __init__(self, mistakes: tuple[PriceMistake, ...], path: Path | None = None) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes
        self._path = path

    def __str__(self) -> str:
        lines = [
            f"{mistake.place}: {mistake.message}" if mistake.place else mistake.message
            for mistake in self.mistakes[:MISTAKES_SHOWN_MAX]
        ]
        hidden = len(self.mistakes) - len(lines)
        if hidden > 0:
            lines.append(f"and {hidden} more mistakes")
        return "\n".join(lines if self._path is None else [f"{self._path}: {x}" for x in lines])


def read_prices(path: Path) -> list[PriceRow]:
    """Return the prices that the file holds, in its order. Raises PricesError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        message = f"no such file: write one with `creditd config example --prices > {path}`"
        raise PricesError((PriceMistake("", message),), path) from error
    except OSError as error:
        raise PricesError((PriceMistake("", f"cannot be read: {error.strerror}"),), path) from error
    if len(content) > FILE_BYTES_MAX:
        message = f"is longer than {FILE_BYTES_MAX} bytes: is it the right file?"
        raise PricesError((PriceMistake("", message),), path)
    try:
        return parse_prices(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"line {line} is not UTF-8: save the file as UTF-8"
        raise PricesError((PriceMistake("", message),), path) from error
    except PricesError as error:
        raise PricesError(error.mistakes, path) from error


def parse_prices(text: str) -> list[PriceRow]:
    """Return the prices that a price list holds, in its order. Raises PricesError."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PricesError((PriceMistake("", f"is not TOML: {error}"),)) from error
    except ValueError as error:
        # tomllib leaves a number of thousands of digits to int(), which refuses it.
        raise PricesError(
            (PriceMistake("", f"holds a number too long to read: {error}"),)
        ) from error
    reader = _Reader()
    for name in document:
        if name != "operations":
            reader.note(_quoted(name), 'is not known: prices stand under [operations."…"]')
    operations = document.get("operations")
    if not isinstance(operations, dict) or not operations:
        example = 'write a table [operations."chat.completion"] with base = "1"'
        reader.note("operations", f"holds no prices: {example}")
    elif len(operations) > PRICES_MAX:
        message = f"{len(operations)} operations are more than {PRICES_MAX}: price by units"
        reader.note("operations", message)
    else:
        for name, table in operations.items():
            reader.operation(name, table)
    if len(reader.rows) > PRICES_MAX:
        message = f"{len(reader.rows)} prices are more than {PRICES_MAX}: price by units"
        reader.note("operations", message)
    if reader.mistakes:
        raise PricesError(tuple(reader.mistakes))
    return reader.rows


class _Reader:
    """Reads prices, noting what is wrong; what it has read then is thrown away."""

    def __init__(self) -> None:
        self.rows: list[PriceRow] = []
        self.mistakes: list[PriceMistake] = []

    def note(self, place: str, message: str) -> None:
        self.mistakes.append(PriceMistake(place, message))

    def operation(self, name: str, table: object) -> None:
        place = f"operations.{_quoted(name)}"
        self._named(place, name, "an operation")
        if not isinstance(table, dict):
            self.note(place, f'is not a table: write [{place}] and below it base = "1"')
            return
        models = table.get("models", {})
        if not isinstance(models, dict):
            self.note(f"{place}.models", f'is not a table: write [{place}.models."large"]')
            models = {}
        self._known(place, table, _OF_OPERATION)
        if not models or set(table) - {"models"}:
            self._prices(place, name, ANY_MODEL, table)
        for model, of_model in models.items():
            own = f"{place}.models.{_quoted(model)}"
            self._named(own, model, "a model")
            if isinstance(of_model, dict):
                self._known(own, of_model, _OF_MODEL)
                self._prices(own, name, model, of_model)
            else:
                self.note(own, f'is not a table: write [{own}] and below it base = "1"')

    def _prices(self, place: str, operation: str, model: str, table: dict[str, Any]) -> None:
        unit = self._unit(f"{place}.unit", table.get("unit", "unit"))
        rows = [self._price(place, operation, model, table, unit)]
        later = table.get("later", [])
        if not isinstance(later, list):
            self.note(f"{place}.later", f"is not a list: write [[{place}.later]]")
            later = []
        for number, each in enumerate(later, 1):
            where = f"{place}.later[{number}]"
            if not isinstance(each, dict):
                self.note(where, f"is not a table: write [[{place}.later]]")
                continue
            self._known(where, each, _TERMS)
            if "effective_at" not in each:
                self.note(where, "has no effective_at: say from when on it is in force")
            of_later = self._unit(f"{where}.unit", each["unit"]) if "unit" in each else unit
            rows.append(self._price(where, operation, model, each, of_later))
        moments = [row.effective_at for row in rows]
        if len(set(moments)) < len(moments) and len(later) == len(moments) - 1:
            self.note(place, "has two prices that begin at the same moment: leave one")
        self.rows += rows

    def _price(
        self, place: str, operation: str, model: str, table: dict[str, Any], unit: str
    ) -> PriceRow:
        if "base" not in table and "per_unit" not in table:
            self.note(place, 'has no price: give base or per_unit, "0" for what is free')
        return PriceRow(
            operation=operation,
            base_micro=self._credits(f"{place}.base", table.get("base", "0")),
            per_unit_micro=self._credits(f"{place}.per_unit", table.get("per_unit", "0")),
            unit=unit,
            model=model,
            tiers=self._tiers(f"{place}.tiers", table.get("tiers", [])),
            effective_at=self._moment(f"{place}.effective_at", table.get("effective_at")),
        )

    def _tiers(self, place: str, value: object) -> tuple[Tier, ...]:
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.note(place, 'is not a list such as [{ above = 1000, per_unit = "0.001" }]')
            return ()
        if len(value) > TIERS_MAX:
            self.note(place, f"has {len(value)} tiers, more than {TIERS_MAX}")
        tiers: list[Tier] = []
        for number, each in enumerate(value, 1):
            where = f"{place}[{number}]"
            self._known(where, each, _OF_TIER)
            above = each.get("above")
            least = tiers[-1].above + 1 if tiers else 1
            if type(above) is not int or not least <= above < UNITS_MAX:
                said = f"is no number of units from {least:_} to {UNITS_MAX - 1:_}"
                self.note(f"{where}.above", f"{said}: tiers stand in the order of their units")
                above = least
            if "per_unit" not in each:
                self.note(where, 'has no per_unit: say what each unit above costs, such as "0.5"')
            tiers.append(Tier(above, self._credits(f"{where}.per_unit", each.get("per_unit", "0"))))
        return tuple(tiers)

    def _credits(self, place: str, value: object) -> int:
        if not isinstance(value, str):
            self.note(place, 'is not a text: credits stand in quotes, such as "12" or "0.5"')
            return 0
        try:
            return parse_credits(value)
        except ValueError as error:
            self.note(place, str(error))
            return 0

    def _unit(self, place: str, value: object) -> str:
        if isinstance(value, str) and len(value) <= UNIT_LENGTH_MAX and _UNIT.fullmatch(value):
            return value
        said = f'is not a word for one unit, such as "token": 1 to {UNIT_LENGTH_MAX} characters'
        self.note(place, said)
        return ""

    def _moment(self, place: str, value: object) -> datetime | None:
        if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
            return value
        self.note(place, "is no moment: write date, time and zone, such as 2030-01-01T00:00:00Z")
        return None

    def _named(self, place: str, name: str, what: str) -> None:
        if len(name) > OPERATION_LENGTH_MAX or _NAME.match(name) is None:
            allowed = f"1 to {OPERATION_LENGTH_MAX} letters, digits and . _ : / -"
            self.note(place, f"is no name of {what}: {allowed}")

    def _known(self, place: str, table: dict[str, Any], fields: Collection[str]) -> None:
        for field in table:
            if field not in fields:
                self.note(f"{place}.{_quoted(field)}", _unknown(field, fields))


def _unknown(field: str, fields: Collection[str]) -> str:
    close = difflib.get_close_matches(field, fields, n=1)
    if close:
        return f'is not known: did you mean "{close[0]}"?'
    return f"is not known: there can be {', '.join(fields)}"


def _quoted(name: str) -> str:
    return name if _BARE_NAME.fullmatch(name) else json.dumps(name[:SHOWN_LENGTH_MAX])
