"""Reading a TOML file strictly.

A wrong or missing value is noted with its place and replaced by a stand-in of the right type, so
that reading goes on to the next mistake. Stand-ins never get out: whoever reads a file calls
`Mistakes.raise_any` before using what was read.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

from daemon.configuration.mistakes import (
    ConfigError,
    Mistake,
    Mistakes,
    Place,
    format_place,
    nearest,
    shown,
)

# Of a table, or of an array's place.
Key = str | int

# No hand writes a megabyte of configuration: more is the wrong file.
FILE_BYTES_MAX: Final = 1_048_576

_SYNTAX_ERROR: Final = re.compile(
    r"(?P<what>.*) \(at (?:(?P<place>line \d+, column \d+)|end of document)\)", re.DOTALL
)


def parse_toml(path: Path) -> dict[str, object]:
    """Return the file's TOML. Raises ConfigError: unreadable, too long, or not TOML."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        mistake = Mistake("", f"no such file: write one with `creditd config example > {path}`")
    except OSError as error:
        mistake = Mistake("", f"cannot be read: {error.strerror}")
    else:
        parsed = _parse(content)
        if not isinstance(parsed, Mistake):
            return parsed
        mistake = parsed
    raise ConfigError(path, (mistake,))


def _parse(content: bytes) -> dict[str, object] | Mistake:
    if len(content) > FILE_BYTES_MAX:
        return Mistake("", f"is longer than {FILE_BYTES_MAX} bytes: is it the right file?")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Mistake(f"line {line}", "is not UTF-8: save the file as UTF-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_mistake(str(error), text)
    except RecursionError:
        return Mistake("", "nests arrays or tables too deeply: no setting is deeper than five")
    except ValueError:
        # tomllib leaves a number of more than 4,300 digits to int(), which refuses it.
        return Mistake("", "holds a number of thousands of digits: no setting is that large")


def _syntax_mistake(error: str, text: str) -> Mistake:
    parts = _SYNTAX_ERROR.fullmatch(error)
    if parts is None:
        return Mistake("", f"is not TOML: {error}")
    lines = text.split("\n")
    place = parts["place"] or f"line {len(lines)}, column {len(lines[-1]) + 1}"
    what = parts["what"].strip()
    remedy = ': text stands in quotes, as in name = "local"' if what == "Invalid value" else ""
    return Mistake(place, f"is not TOML: {what[:1].lower()}{what[1:]}{remedy}")


class Table:
    """One TOML table while it is read: each key is asked for by its type and bounds.

    A key without `default` is required. `refuse_unknown` comes when all keys have been asked for.
    With `stand_in` there is no such table in the file and that has been noted already: its
    missing keys are no mistakes of their own.
    """

    def __init__(
        self,
        values: Mapping[Any, object],
        place: Place,
        mistakes: Mistakes,
        *,
        stand_in: bool = False,
    ) -> None:
        self._values = values
        self._place = place
        self._mistakes = mistakes
        self._stand_in = stand_in
        self._asked: list[Key] = []

    def value(self, key: Key) -> object | None:
        """Return the key's value as it stands, None if it is missing."""
        self._asked.append(key)
        return self._values.get(key)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that are there, whether they are settings or not."""
        return tuple(str(key) for key in self._values)

    def mistake(self, key: Key, message: str) -> None:
        """Note what is wrong with one key."""
        self._mistakes.note((*self._place, key), message)

    def missing(self, key: Key, wanted: str) -> None:
        """Note that a key is required."""
        if not self._stand_in:
            self.mistake(key, f"is missing: write {wanted}")

    def sound(self, *keys: Key) -> bool:
        """Return whether none of these keys has been found wrong so far."""
        return not any(self._mistakes.concern((*self._place, key)) for key in keys)

    def place(self, key: Key) -> str:
        """Return the key's place as text."""
        return format_place((*self._place, key))

    def integer(self, key: Key, *, at_least: int, at_most: int, default: int | None = None) -> int:
        """Return a whole number within both bounds."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        wanted = f"a whole number from {at_least} to {at_most}"
        if value is None:
            self.missing(key, wanted)
        elif not _is_integer(value):
            self.mistake(key, f"must be {wanted}, without quotes or point (got {shown(value)})")
        elif not at_least <= value <= at_most:
            self.mistake(key, f"must be {wanted} (got {shown(value)})")
        else:
            return value
        return at_least

    def optional_integer(self, key: Key, *, at_least: int, at_most: int) -> int | None:
        """Return a whole number within both bounds, None if the key is missing."""
        if self.value(key) is None:
            return None
        return self.integer(key, at_least=at_least, at_most=at_most)

    def text(self, key: Key, *, wanted: str, default: str | None = None) -> str:
        """Return a text of one printable line; `wanted` says what it should be."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if value is None:
            self.missing(key, wanted)
        elif not isinstance(value, str):
            self.mistake(key, f"must be {wanted}, in quotes (got {shown(value)})")
        elif not value:
            self.mistake(key, f"is empty: write {wanted}")
        elif not value.isprintable():
            self.mistake(key, f"must be {wanted}, without line breaks or control characters")
        else:
            return value
        return ""

    def decimal(self, key: Key, *, wanted: str) -> str | None:
        """Return the text of a decimal number, unchecked, None if the key is missing or wrong."""
        value = self.value(key)
        if value is None or isinstance(value, str):
            return value
        reason = ": a float loses cents" if isinstance(value, float) else ": without quotes"
        self.mistake(key, f"must be {wanted} (got {shown(value)}{reason})")
        return None

    def table(self, key: Key, *, wanted: str, required: bool = False) -> "Table":
        """Return the table under the key; an empty one if it is missing or something else."""
        value = self.value(key)
        place = (*self._place, key)
        if isinstance(value, dict):
            return Table(value, place, self._mistakes)
        if value is not None:
            self.mistake(key, f"must be {wanted} (got {shown(value)})")
        elif required:
            self.missing(key, wanted)
        return Table({}, place, self._mistakes, stand_in=True)

    def tables(self, key: Key, *, wanted: str) -> "list[Table]":
        """Return the tables of an array of them, of which there must be one at least."""
        value = self.value(key)
        if value is None or value == []:
            self.missing(key, wanted)
            return []
        if not isinstance(value, list):
            self.mistake(key, f"must be {wanted} (got {shown(value)})")
            return []
        tables = []
        for index, item in enumerate(value):
            place = (*self._place, key, index)
            if isinstance(item, dict):
                tables.append(Table(item, place, self._mistakes))
            else:
                self._mistakes.note(place, f"must be {wanted} (got {shown(item)})")
        return tables

    def array(self, key: Key) -> "Table":
        """Return the array under the key, which has been seen to be one, by its indexes."""
        value = self.value(key)
        items = value if isinstance(value, list) else []
        return Table(dict(enumerate(items)), (*self._place, key), self._mistakes)

    def refuse_unknown(self) -> None:
        """Note every key that nobody asked for."""
        known = [str(key) for key in self._asked]
        for key in self._values:
            if key not in self._asked:
                self.mistake(
                    key,
                    f"is not a setting here: {nearest(str(key), known)}",
                )


def _is_integer(value: object) -> TypeGuard[int]:
    # TOML's true and false are bool in Python, and a bool is an int there.
    return isinstance(value, int) and not isinstance(value, bool)
