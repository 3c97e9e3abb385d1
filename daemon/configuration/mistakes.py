"""Telling every mistake of a configuration file at once, without telling its secrets."""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

# Values are shown to help find them, not to be read out in full.
SHOWN_CHARACTERS_MAX: Final = 40
SHOWN_BITS_MAX: Final = 256

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)

# The keys and indexes that lead to a value.
Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """Where in the file (`chains[0].name`; `line 3, column 7`; empty for the whole of it) and what.

    The message says what is wrong and what helps.
    """

    place: str
    message: str


class ConfigError(Exception):
    """A configuration file that cannot be used, with every mistake found in it.

    The person who wrote the file can mend it: `str()` is one line per mistake.
    """

    def __init__(self, path: Path, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__(path, mistakes)
        self.path = path
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}: {place}: {message}" if place else f"{self.path}: {message}"
            for place, message in self.mistakes
        )


class Mistakes:
    """The mistakes found so far in one file."""

    def __init__(self, path: Path, document: Mapping[str, object]) -> None:
        self._path = path
        self._document = document
        self._found: list[tuple[Place, str]] = []
        self._wrong: set[Place] = set()
        self._around_wrong: set[Place] = set()

    def note(self, place: Place, message: str) -> None:
        """Remember one mistake."""
        self._found.append((place, message))
        self._wrong.add(place)
        self._around_wrong.update(place[:length] for length in range(len(place)))

    def concern(self, place: Place) -> bool:
        """Return whether the value at this place, one inside it or one around it is a mistake."""
        within_wrong = any(place[:length] in self._wrong for length in range(len(place) + 1))
        return within_wrong or place in self._around_wrong

    def raise_any(self) -> None:
        """Raise ConfigError with all of them, in the file's order, if there are any."""
        if self._found:
            in_order = sorted(self._found, key=lambda found: self._position(found[0]))
            raise ConfigError(
                self._path,
                tuple(Mistake(format_place(place), message) for place, message in in_order),
            )

    def _position(self, place: Place) -> tuple[int, ...]:
        """Return where in the file a place is; what is missing comes after its neighbours."""
        position: list[int] = []
        node: object = self._document
        for step in place:
            if isinstance(step, int):
                position.append(step)
                node = node[step] if isinstance(node, list) else None
            elif isinstance(node, dict):
                keys = list(node)
                position.append(keys.index(step) if step in node else len(keys))
                node = node.get(step)
        return tuple(position)


def format_place(place: Place) -> str:
    """Return a place as it is written: `chains[0].sources[1].rule.credits`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _BARE_KEY.fullmatch(step) else shown(step)
            text += f".{key}" if text else key
    return text


def shown(value: object) -> str:
    """Return a value as a message may show it: short, on one line, and nothing of an address."""
    match value:
        case bool():
            text = "true" if value else "false"
        case int():
            # Beyond 4,300 digits Python refuses to write a number out.
            bits = value.bit_length()
            text = str(value) if bits <= SHOWN_BITS_MAX else f"a number of {bits} bits"
        case float():
            text = repr(value)
        case str():
            # An address, and what stands before an @, may hold a password.
            hidden = len(value) > SHOWN_CHARACTERS_MAX or "://" in value or "@" in value
            text = f"a text of {len(value)} characters" if hidden else json.dumps(value)
        case list():
            text = "an array"
        case dict():
            text = "a table"
        case _:
            text = "a date or time"
    return text


def nearest(word: str, known: Collection[str]) -> str:
    """Return the question whether the most similar known word was meant, else all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"there are {', '.join(sorted(set(known)))}"
