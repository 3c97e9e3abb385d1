"""What the command line of a benchmark of several parts has in common with another's."""

import argparse
from collections.abc import Mapping
from pathlib import Path


def parser_of(
    about: str | None, teaching: str, parts: Mapping[str, str], out: Path
) -> argparse.ArgumentParser:
    """Return a parser that takes rounds, parts (by name, and what each is) and where results go."""
    parser = argparse.ArgumentParser(
        description=about, epilog=teaching, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all works (3)")
    parser.add_argument("--only", metavar="PARTS", default=",".join(parts), help="parts to run")
    parser.add_argument("--out", type=Path, default=out, help="where the results go")
    return parser


def told(parts: Mapping[str, str]) -> str:
    """Return the parts, a line each."""
    return "\n".join(f"  {name:<9} {says}" for name, says in parts.items())


def chosen(parser: argparse.ArgumentParser, only: str, parts: Mapping[str, str]) -> frozenset[str]:
    """Return the parts that are asked for; ends the program if there is no such part."""
    asked = frozenset(only.split(","))
    if unknown := asked - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: take of {', '.join(parts)}")
    return asked
