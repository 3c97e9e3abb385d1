"""Arrays as parameters of a statement: sent in binary, as `ledger.arrays` has packed them.

psycopg would dump each element by itself, which for the events of a step costs more than the rest
of the step.
"""

from collections.abc import Sequence
from typing import Any

from psycopg.abc import AdaptContext, DumperKey, PyFormat
from psycopg.adapt import Dumper
from psycopg.pq import Format

from ledger import arrays


class ArrayParameter:
    """A packed array and the type that Postgres is to take it for."""

    __slots__ = ("data", "type_oid")

    def __init__(self, type_oid: int, data: bytes) -> None:
        self.type_oid = type_oid
        self.data = data


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def __init__(self, cls: type[Any], context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self._context = context

    def get_key(self, obj: ArrayParameter, format: PyFormat) -> DumperKey:  # noqa: A002 - psycopg's
        del format
        return (self.cls, obj.type_oid)  # type: ignore[return-value]  # any hashable will do

    def upgrade(self, obj: ArrayParameter, format: PyFormat) -> "_ArrayDumper":  # noqa: A002
        del format
        dumper = _ArrayDumper(self.cls, self._context)
        dumper.oid = obj.type_oid
        return dumper

    def dump(self, obj: ArrayParameter) -> bytes:
        return obj.data


def register(context: AdaptContext) -> None:
    """Let a connection's statements take ArrayParameter."""
    context.adapters.register_dumper(ArrayParameter, _ArrayDumper)


def bigints(elements: Sequence[int]) -> ArrayParameter:
    """Return a bigint[]."""
    return ArrayParameter(arrays.INT8_ARRAY, arrays.int8s(elements))


def integers(elements: Sequence[int]) -> ArrayParameter:
    """Return an integer[]."""
    return ArrayParameter(arrays.INT4_ARRAY, arrays.int4s(elements))


def smallints(elements: Sequence[int]) -> ArrayParameter:
    """Return a smallint[]."""
    return ArrayParameter(arrays.INT2_ARRAY, arrays.int2s(elements))


def byteas(elements: Sequence[bytes]) -> ArrayParameter:
    """Return a bytea[]."""
    return ArrayParameter(arrays.BYTEA_ARRAY, arrays.byteas(elements))


def texts(elements: Sequence[str]) -> ArrayParameter:
    """Return a text[]."""
    return ArrayParameter(arrays.TEXT_ARRAY, arrays.texts(elements))
