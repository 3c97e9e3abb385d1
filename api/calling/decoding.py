"""Reading bodies and queries into their types, and saying which field is wrong."""

import re
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from api.problems.refusals import Invalid, Malformed, Refused

Shape = TypeVar("Shape", bound=msgspec.Struct)

QUERY_FIELDS_MAX: Final = 16  # no list takes half as many; more is a mistake or an attack
FIELD_SHOWN_MAX: Final = 80  # an unknown field's name is the sender's and may be a book

# What msgspec says of a value: "Expected `int`, got `str` - at `$.wallet.chain_id`".
_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_ABOUT_FIELD = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`"
)


def decode_body(decoder: msgspec.json.Decoder[Shape], body: bytes) -> Shape:
    """Return the body's content; an empty body is an empty object. Raises Refused."""
    try:
        return decoder.decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise Refused(invalid(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Malformed(_uncapped(str(error)))) from error


def decode_query(query: bytes, kind: type[Shape]) -> Shape:
    """Return the query's parameters. Raises Refused."""
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError as error:
        message = f"has more than {QUERY_FIELDS_MAX} parameters"
        raise Refused(Invalid("query", message)) from error
    values = dict(pairs)
    if len(values) < len(pairs):  # which one counts is a guess that others make otherwise
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(Invalid(twice[:FIELD_SHOWN_MAX], "came more than once: send it once"))
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(invalid(str(error))) from error


def required_fields(shape: type[msgspec.Struct]) -> list[str]:
    """Return the names of the fields that a body or a query must have."""
    return [field.name for field in msgspec.structs.fields(shape) if field.required]


def invalid(complaint: str) -> Invalid:
    """Return what msgspec complains about as a field, dots between its parts, and a message."""
    parts = _COMPLAINT.fullmatch(complaint)
    if parts is None:
        return Invalid("", _uncapped(complaint))
    path, what = parts["path"] or "", parts["what"]
    about = _ABOUT_FIELD.fullmatch(what)
    if about is None:
        return Invalid(path[:FIELD_SHOWN_MAX], _uncapped(what))
    name = about["name"][:FIELD_SHOWN_MAX]
    field = f"{path}.{name}" if path else name
    if about["what"] == "missing required":
        return Invalid(field, "is missing")
    return Invalid(field, "is not known here: check its spelling against /openapi.json")


def _uncapped(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
