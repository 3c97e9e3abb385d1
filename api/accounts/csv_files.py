"""Rows as a file for spreadsheets: CSV by RFC 4180, with a header, piece by piece."""

import csv
import io
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

import msgspec

from api.caching import NO_STORE
from api.calling.calls import Stream

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"
ROWS_AT_ONCE: Final = 500  # of one question, and of one piece: some 100 KiB

# A spreadsheet takes what begins so for a formula (OWASP, CSV injection), unless it is a number.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def csv_stream(
    name: str, shape: type[msgspec.Struct], pages: AsyncGenerator[Sequence[msgspec.Struct], None]
) -> Stream:
    """Return a file of pages of `shape`: its columns are the shape's members."""
    return Stream(
        MEDIA_TYPE,
        _pieces(shape, pages),
        (
            NO_STORE,
            ("Content-Disposition", f'attachment; filename="{name}.csv"'),
            ("X-Content-Type-Options", "nosniff"),
        ),
    )


async def _pieces(
    shape: type[msgspec.Struct], pages: AsyncGenerator[Sequence[msgspec.Struct], None]
) -> AsyncGenerator[bytes, None]:
    yield _lines([columns(shape)])
    # Where the reader goes, the questions to the books end too, not some time later.
    async with aclosing(pages):
        async for page in pages:
            yield _lines([cells(shape, row) for row in page])


def columns(shape: type[msgspec.Struct]) -> list[str]:
    """Return the names of a shape's members; those of a member's own are `member_its`."""
    names = []
    for name, inner in _members(shape):
        names += [name] if inner is None else [f"{name}_{each}" for each in columns(inner)]
    return names


def cells(shape: type[msgspec.Struct], row: msgspec.Struct | None) -> list[str]:
    """Return a row's values as text, empty where there is none."""
    texts = []
    for name, inner in _members(shape):
        value = None if row is None else getattr(row, name)
        texts += [_text(value)] if inner is None else cells(inner, value)
    return texts


def _members(shape: type[msgspec.Struct]) -> list[tuple[str, type[msgspec.Struct] | None]]:
    hints = get_type_hints(shape)
    return [(field, _inner(hints[field])) for field in shape.__struct_fields__]


def _inner(hint: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - a type as it is annotated
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return str(msgspec.to_builtins(value))
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode()
