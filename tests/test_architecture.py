"""What the tree must look like, whoever adds to it: arrows, languages, sizes, names, words."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
OURS = ("contracts", "ledger", "daemon", "api")
DISTRIBUTIONS = {**dict.fromkeys(OURS, "creditd"), "creditd_client": "creditd-client"}

# An outside language is spoken in one place; an ending slash names a folder.
SPOKEN_IN = {
    "web3": ("daemon/chain/rpc.py",),
    "eth_abi": ("contracts/",),
    "starlette": ("api/app.py",),
    "uvicorn": ("api/serve.py", "api/connections.py", "daemon/demo/sample_app.py"),
    "sqlalchemy": ("ledger/",),
    "psycopg": ("ledger/",),
    "alembic": ("ledger/",),
}

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
# Names that say nothing of what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "common", "base", "misc", "managers", "services"}

# What tools and packages leave in the tree; none of it is committed.
MADE = {"node_modules", "build", "dist", "__pycache__"}
WRITTEN_BY_HAND = {".py", ".sql", ".sol", ".mjs", ".js", ".css", ".html", ".sh", ".toml", ".yml"}
# Written so that this file does not break its own rules.
OPEN_ENDS = re.compile(r"\b(?:TO[D]O|FIX[M]E|X{3})\b")
ONE_MACHINE_ONLY = re.compile(
    r"(?<![\w.$}])/(?:home|root|Users|work|tmp)/\w"
    r"|(?:pypi|pythonhosted)\.org|registry\.npmjs\.org"
)


def tree(folder: Path = ROOT) -> Iterator[Path]:
    """Every file that is, or will be, committed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name not in {".ci", ".github"}
            made = path.name in MADE or (path / "pyvenv.cfg").exists()
            if not hidden and not made:
                yield from tree(path)
        elif not path.is_symlink() and path.name != ".git":  # a file, in a second work tree
            yield path


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def module(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def python_files(*folders: str) -> list[Path]:
    python = (path for path in tree() if path.suffix == ".py")
    found = [path for path in python if path.relative_to(ROOT).parts[0] in folders]
    assert found, f"no Python under {folders}: this test would look at nothing"
    return found


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module's full name and its line, inside functions too."""
    for node in ast.walk(module(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, node.lineno


def lines_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    described = ast.get_docstring(function, clean=False) is not None
    body = function.body[1:] if described else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def lines_matching(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    return [
        f"{place(path)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1)
        if pattern.search(line)
    ]


def refuse(breaches: Iterable[str]) -> None:
    found = list(breaches)
    assert not found, "\n" + "\n".join(found)


def test_the_arrows_between_our_packages_are_kept() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    broken = result.stdout.partition("Broken contracts")[2]
    assert result.returncode == 0, broken or result.stdout + result.stderr


def test_each_outside_language_is_spoken_in_one_place() -> None:
    refuse(
        f"{place(path)}:{line}: imports {name}; only {', '.join(SPOKEN_IN[language])} may"
        for path in python_files(*OURS)
        for name, line in imports(path)
        if (language := name.partition(".")[0]) in SPOKEN_IN
        and not any(
            place(path) == where or (where.endswith("/") and place(path).startswith(where))
            for where in SPOKEN_IN[language]
        )
    )


def test_the_client_stands_alone() -> None:
    refuse(
        f"{place(path)}:{line}: imports {name}"
        for path in python_files("client")
        for name, line in imports(path)
        if name.partition(".")[0] in OURS
    )


def test_a_function_fits_on_one_screen() -> None:
    refuse(
        f"{place(path)}:{node.lineno}: {node.name} has {lines} lines"
        for path in python_files(*OURS, "client", "tests", "bench")
        for node in ast.walk(module(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := lines_of_body(node)) > FUNCTION_LINES_MAX
    )


def test_a_file_can_be_read_in_one_go() -> None:
    refuse(
        f"{place(path)}: {lines} lines"
        for path in tree()
        if path.suffix in WRITTEN_BY_HAND
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    )


def test_a_name_says_what_is_inside() -> None:
    refuse(
        place(path)
        for path in tree()
        if EMPTY_NAMES & {PurePosixPath(part).stem for part in path.relative_to(ROOT).parts}
    )


def test_nobody_else_installs_our_package_names() -> None:
    providers = packages_distributions()
    assert {
        name: others
        for name, distribution in DISTRIBUTIONS.items()
        if (others := set(providers.get(name, ())) - {distribution})
    } == {}


def test_the_documents_are_no_python_package() -> None:
    # Several of our dependencies install a top-level `docs`: it would shadow ours, or ours theirs.
    assert not (ROOT / "docs" / "__init__.py").exists()


def test_nothing_is_left_open_in_the_text() -> None:
    by_hand = (path for path in tree() if path.suffix in WRITTEN_BY_HAND | {".md", ""})
    refuse(lines_matching(OPEN_ENDS, by_hand))


def test_the_text_names_no_machine_of_ours() -> None:
    refuse(lines_matching(ONE_MACHINE_ONLY, tree()))


def test_nothing_blocks_its_loop_by_sleeping() -> None:
    refuse(
        f"{place(path)}:{node.lineno}"
        for path in python_files(*OURS, "client")
        for node in ast.walk(module(path))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "time"
            and any(alias.name == "sleep" for alias in node.names)
        )
    )
