"""The price list as a file: read whole, or refused with every mistake in it."""

from pathlib import Path
from typing import Final

from api.pricing.price_file import PricesError, parse_prices
from ledger.operating import PriceRow

# Ten thousand operations with long names are less than half of this: more is the wrong file.
FILE_BYTES_MAX: Final = 4_194_304


class PriceListError(Exception):
    """A price list that cannot be used: its author mends it. `str()` is one line per mistake."""

    def __init__(self, path: Path, mistakes: str) -> None:
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in mistakes.splitlines()))


def read_prices(path: Path) -> list[PriceRow]:
    """Return the prices that the file holds, in its order. Raises PriceListError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise PriceListError(
            path, f"no such file: write one with `creditd config example --prices > {path}`"
        ) from error
    except OSError as error:
        raise PriceListError(path, f"cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise PriceListError(path, f"is longer than {FILE_BYTES_MAX} bytes: is it the right file?")
    try:
        return parse_prices(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PriceListError(path, f"line {line} is not UTF-8: save the file as UTF-8") from error
    except PricesError as error:
        raise PriceListError(path, str(error)) from error
