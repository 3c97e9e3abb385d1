"""What this release lays in a database besides its tables, read from the files that lay it."""

import re
from dataclasses import dataclass

from ledger.versions import function_files

_FUNCTION = re.compile(r"^create or replace function creditd\.(\w+)", re.MULTILINE)
_BODY = re.compile(r"\bas \$\$(.*?)\$\$", re.DOTALL)
_SETTING = re.compile(r"\bset (\w+) = (\w+(?:, \w+)*)")
_LANGUAGE = re.compile(r"\blanguage (\w+)")
_GRANT = re.compile(r"^grant execute on function\s+([^;]+?)\s+to\s+([^;]+?);", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LaidFunction:
    """A function as its file says it. `body` is None where the database keeps no text of it."""

    function_name: str
    language: str
    is_definer: bool
    settings: tuple[str, ...]
    body: str | None


@dataclass(frozen=True, slots=True)
class LaidGrant:
    """A role that may call a function."""

    role_name: str
    function_name: str


def laid_functions() -> list[LaidFunction]:
    """Return this release's functions, in the order they are laid."""
    found: list[LaidFunction] = []
    for text in _texts():
        starts = [match.start() for match in _FUNCTION.finditer(text)]
        for start, end in zip(starts, [*starts, len(text)][1:], strict=True):
            found.append(_function(text[start:end]))
    return found


def laid_grants() -> list[LaidGrant]:
    """Return who may call which function, owners aside."""
    return [
        LaidGrant(role.strip(), function.strip().removeprefix("creditd."))
        for text in _texts()
        for functions, roles in _GRANT.findall(text)
        for function in functions.split(",")
        for role in roles.split(",")
    ]


def _function(text: str) -> LaidFunction:
    name, language = _FUNCTION.match(text), _LANGUAGE.search(text)
    if name is None or language is None:
        raise ValueError(f"a function has no name or language: {text[:80]!r}")
    body = _BODY.search(text)
    head = text[: body.start()] if body else text
    return LaidFunction(
        function_name=name.group(1),
        language=language.group(1),
        is_definer="security definer" in head,
        settings=tuple(f"{name}={value}" for name, value in _SETTING.findall(head)),
        body=body.group(1) if body else None,
    )


def _texts() -> list[str]:
    return [file.read_text(encoding="utf-8") for file in function_files()]
