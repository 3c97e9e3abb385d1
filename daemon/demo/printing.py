"""What the demo shows: one line a step, in columns, and one line that is rewritten in place."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NoReturn

from rich.console import Console
from rich.live import Live
from rich.text import Text

WIDTH_MAX: Final = 100

_NAME_WIDTH: Final = 13
_WHO_WIDTH: Final = 6
_WORD_WIDTH: Final = 11
_DETAIL_WIDTH: Final = 46
_CREDITS_WIDTH: Final = 5
_LABELLED_WIDTH: Final = 90  # on a terminal at least as wide, a balance is called so
_HASH_SHOWN: Final = 6  # characters at each end, 0x included: enough to find it again

_STYLES: Final = MappingProxyType(
    {
        "stakes": "blue",
        "mines": "blue",
        "seen": "yellow",
        "waits": "yellow",
        "confirmed": "cyan",
        "granted": "bold green",
        "charged": "magenta",
        "failed": "bold red",
        "refunded": "bold green",
        "402": "bold red",
        "409": "yellow",
    }
)


class Unheard(Exception):
    """Nobody reads what is printed any more: the pipe is closed."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # What is still in the buffers must not fail once more when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        raise Unheard


class Printer:
    """Writes to a console, with colours on a terminal only. Its line in place ends with `open`."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._began = time.monotonic()
        self._ticked = ""

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Printer"]:
        """Print to the standard output."""
        console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not console.is_terminal:
            console.width = WIDTH_MAX
            yield cls(console, None)
            return
        live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        with live:
            yield cls(console, live)

    @property
    def seconds(self) -> float:
        """How long it has been printing."""
        return time.monotonic() - self._began

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line as it is."""
        self._console.print(Text(text, style))

    def heading(self, text: str) -> None:
        """Begin a part of the story."""
        self.line()
        self.line(text, "bold")

    def fact(self, name: str, text: str) -> None:
        """Print something to look up later."""
        self._console.print(Text.assemble((f"  {name:<{_NAME_WIDTH}}", "dim"), text))

    def step(self, who: str, word: str, detail: str, balance: Decimal | None = None) -> None:
        """Print what befell somebody, and the balance it left."""
        line = Text.assemble(
            (f"{self.seconds:6.1f}s  ", "dim"),
            (f"{who:<{_WHO_WIDTH}}", "bold"),
            (f"{word:<{_WORD_WIDTH}}", _STYLES.get(word, "")),
            f"{detail:<{_DETAIL_WIDTH}}",
        )
        if balance is not None:
            wide = self._console.width >= _LABELLED_WIDTH
            line.append(" balance " if wide else "=", "dim").append(
                f"{shown(balance):>{_CREDITS_WIDTH}}", "bold"
            )
        line.rstrip()
        self._console.print(line)

    def tick(self, text: str, *, everywhere: bool = True) -> None:
        """Show how far something is: in place on a terminal, elsewhere as a line if it is new.

        With `everywhere` false only a terminal shows it. An empty text takes the line away.
        """
        if self._live is not None:
            shown_text = Text(f"{self.seconds:6.1f}s  {text}" if text else "", "yellow")
            shown_text.truncate(min(WIDTH_MAX, self._console.width))
            self._live.update(shown_text, refresh=True)
        elif text and everywhere and text != self._ticked:
            self.line(f"{self.seconds:6.1f}s  {text}")
        self._ticked = text


def shown(credits_or_tokens: Decimal) -> str:
    """Return an amount without an exponent and without zeros at its end."""
    text = f"{credits_or_tokens:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def short(text: str) -> str:
    """Return an address or a hash by its two ends."""
    return f"{text[:_HASH_SHOWN]}…{text[2 - _HASH_SHOWN :]}"
