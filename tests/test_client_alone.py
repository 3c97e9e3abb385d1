"""The client's wheel in an environment that has nothing of ours."""

import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from zipfile import Path as Zipped

from packaging.requirements import Requirement

CLIENT = Path(__file__).parents[1] / "client"

USE = """
import sys
import creditd_client
from creditd_client import AsyncCredits, Credits, CreditsUnavailable, Metering
with Credits("http://127.0.0.1:9", "ck_test").within(0.1) as purse:
    try:
        purse.charge("acct_1", "chat")
    except CreditsUnavailable as failure:
        assert not failure.maybe_taken
    else:
        raise AssertionError
ours = {"api", "ledger", "daemon", "contracts"} & {name.partition(".")[0] for name in sys.modules}
assert not ours, ours
print(creditd_client.__file__)
"""


def needed_by(name: str) -> set[str]:
    """A distribution and all it needs here, by name."""
    needed, open_ends = set[str](), [name]
    while open_ends:
        one = open_ends.pop()
        if one in needed:
            continue
        needed.add(one)
        for text in distribution(one).requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                open_ends.append(requirement.name)
    return needed


def lend(name: str, site: Path) -> None:
    """Let an environment see a distribution of this one."""
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
        if top != "__pycache__" and not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))))


def test_the_client_installs_and_works_without_the_rest(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    build: list[str | Path] = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", tmp_path, CLIENT], check=True)
    (wheel,) = tmp_path.glob("creditd_client-*.whl")

    venv.create(tmp_path / "alone", with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "alone")}))
    install: list[str | Path] = [*pip, "install", "--no-deps", "--no-index", "--target", site]
    subprocess.run([*install, wheel], check=True)
    for name in needed_by("httpx2"):
        lend(name, site)

    ran = subprocess.run(
        [tmp_path / "alone" / "bin" / "python", "-I", "-c", USE],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).is_relative_to(site)
    assert [str(need) for need in distribution_of(wheel)] == ["httpx2<3,>=2.16"]


def distribution_of(wheel: Path) -> list[Requirement]:
    """What a wheel says that it needs."""

    (folder,) = [path for path in Zipped(wheel).iterdir() if path.name.endswith(".dist-info")]
    return [Requirement(text) for text in PathDistribution(folder).requires or ()]
