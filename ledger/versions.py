"""Which tables and functions this release has: what a database is held against."""

import hashlib
from pathlib import Path
from typing import Final

from ledger.errors import SchemaMismatch

_HERE: Final = Path(__file__).parent
_NUMBER_LENGTH: Final = 4  # a migration's file begins with its number


def function_files() -> list[Path]:
    """Return the files that hold the books' functions, in the order they are laid."""
    return sorted((_HERE / "sql" / "functions").glob("*.sql"))


def functions_digest() -> str:
    """Return the SHA-256 of this release's functions, in hex."""
    digest = hashlib.sha256()
    for file in function_files():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def newest_version() -> str:
    """Return the newest version of the tables that this release knows."""
    numbers = [
        file.name[:_NUMBER_LENGTH] for file in (_HERE / "migrations" / "versions").glob("[0-9]*.py")
    ]
    if not numbers:
        raise SchemaMismatch("this installation of creditd has no migrations: install it anew")
    return max(numbers)
