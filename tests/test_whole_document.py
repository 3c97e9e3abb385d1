"""Schemathesis against the whole OpenAPI document: every operation, alone and in sequences."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
from conftest import earn
from live_api import CREDIT, LiveApi, fill

WALLET = bytes.fromhex("11" * 20)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
# With so many for each operation the two take half a minute; `make soak` asks a hundred times more.
EXAMPLES = 8
EXAMPLES_OF_SOAK = 800
# Where the seeds must lead to more than refusals. An endpoint that they do not know is tried all
# the same, and held to what the document says.
SEEDED = (
    *("charge", "authorize", "get-charge", "refund", "reserve", "settle", "release", "extend"),
    *("open-account", "get-balance", "list-entries", "list-earnings", "list-accounts", "set-alert"),
    *("open-organisation", "list-organisations", "get-organisation", "add-member", "list-members"),
    *("get-member", "remove-member", "move-member", "list-budgets", "set-budget", "end-budget"),
    *("allocate", "take-back", "list-operations", "readyz", "status", "problem", "problems"),
)
ANSWERED = re.compile(r'creditd_http_requests_total\{endpoint="([^"]*)",status="(\d+)"\} (\S+)')


def schemathesis(
    api: LiveApi, folder: Path, *options: str, seeds: dict[str, Any] | None = None
) -> None:
    """Run the program over everything that the document describes; it must find nothing."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    if seeds is not None:
        environment |= {
            "SCHEMATHESIS_HOOKS": "schemathesis_seeds",
            "CREDITD_SEEDS": json.dumps(seeds),
        }
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{api.url}/openapi.json", "--no-color", "--continue-on-failure"),
            # Events have no end: tests of their own follow them.
            *("--exclude-operation-id", "follow-account"),
            *("-H", f"Authorization: Bearer {api.default_key}", "--generation-database", "none"),
            *options,
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    # All but that one, and the one that gives it the document, which `test_openapi` reads.
    operations = sum(len(path) for path in api.document["paths"].values()) - 2
    assert re.search(rf"^ *Tested: {operations}$", done.stdout, re.MULTILINE), done.stdout


def answers(api: LiveApi) -> dict[str, set[int]]:
    """Every status that an endpoint has answered, as the process counts them."""
    found: dict[str, set[int]] = defaultdict(set)
    for endpoint, status, _ in ANSWERED.findall(api.get("/metrics").text):
        found[endpoint].add(int(status))
    return found


def strangers(api: LiveApi, folder: Path, examples: int, seed: int) -> None:
    """What fits the document and what does not, and nothing in it names what is there."""
    checks = ",".join([*CHECKS, "negative_data_rejection"])
    schemathesis(
        api, folder, "--checks", checks, "--max-examples", str(examples), "--seed", str(seed)
    )
    assert not [found for found in answers(api).values() if max(found) >= 500]


def insiders(api: LiveApi, folder: Path, examples: int, seed: int) -> None:
    """What fits the document, and names accounts, charges and reservations that are there."""
    options = ("--mode", "positive", "--max-examples", str(examples), "--seed", str(seed))
    schemathesis(api, folder, "--checks", ",".join(CHECKS), *options, seeds=seeds_of(api))
    found = answers(api)
    assert not [statuses for statuses in found.values() if max(statuses) >= 500]
    without = [name for name in SEEDED if min(found.get(name, {500})) >= 300]
    assert not without, f"nothing was ever done at {without}"


def seeds_of(api: LiveApi) -> dict[str, Any]:
    """Make an account with credits, an organisation with members, charges and reservations."""
    earn(api.database_url, WALLET, 100_000 * CREDIT)
    account = api.open_wallet(WALLET)
    pool = api.post("/v1/organisations", {"name": "pool"}).json()["id"]
    other = api.post("/v1/organisations", {"name": "other"}).json()["id"]
    names = ("stays", "leaves", "moves")
    members = {
        name: api.post(f"/v1/organisations/{pool}/members", {"name": name}).json()["id"]
        for name in names
    }
    charge = api.charge(account, "report.render").json()["id"]

    def reservation() -> dict[str, str]:
        asked = {"account": account, "operation": "report.render", "expires_in": 86_400}
        return {"reservation": api.post("/v1/reservations", asked).json()["id"]}

    shared = {"account": pool, "member": members["stays"]}
    of_a_pool = (
        *("get-organisation", "add-member", "list-members", "get-member", "list-budgets"),
        *("set-budget", "end-budget", "allocate", "take-back"),
    )
    for filled in (pool, members["stays"]):
        fill(api, filled, 1_000)
    return {
        "path": {
            "account": account,
            "operation": "report.render",
            "charge": charge,
            "earning": api.get(f"/v1/accounts/{account}/earnings").json()["data"][0]["id"],
        },
        "settle": reservation(),
        "release": reservation(),
        "extend": reservation(),
        **dict.fromkeys(of_a_pool, shared),
        "remove-member": {"account": pool, "member": members["leaves"]},
        "move-member": {"account": pool, "member": members["moves"]},
        "body": {
            "account": account,
            "operation": "report.render",
            "units": 1,
            "expires_in": 60,
            "minimum": "0",
            "over_max": "0",
            "amount": "1",
            "below": "1",
            "to": other,
            "until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            "wallet": {"chain_id": 31337, "address": f"0x{WALLET.hex()}"},
        },
    }


def test_no_request_of_a_stranger_finds_a_defect(api: LiveApi, tmp_path: Path) -> None:
    strangers(api, tmp_path, EXAMPLES, 1)


def test_no_request_of_an_insider_finds_a_defect(api: LiveApi, tmp_path: Path) -> None:
    insiders(api, tmp_path, EXAMPLES, 1)


@pytest.mark.soak
@pytest.mark.parametrize("ask", [strangers, insiders])
def test_no_request_finds_a_defect_in_the_long_run(
    api: LiveApi, tmp_path: Path, ask: Callable[[LiveApi, Path, int, int], None]
) -> None:
    # Whatever fails says which seed it was.
    ask(api, tmp_path, EXAMPLES_OF_SOAK, SystemRandom().randrange(2**32))
