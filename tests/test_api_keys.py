"""What API keys open and what they do not, to whoever tries from outside."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import httpx2
import psycopg
import pytest
from app_endpoints import FOR_APPS, path_of
from conftest import earn, run
from live_api import CREDIT, LiveApi, code_of, live_api
from owning import owner

from api.calling.lookups import STRANGERS_WAITING_MAX
from api.identity import callers
from api.identity.keys import new_api_key
from ledger.api_key_terms import Cap, Rate
from ledger.scopes import OPERATOR_SCOPES, PERSONAL_SCOPES

MINE, OTHERS = (bytes([n]) * 20 for n in (0x21, 0x22))


@pytest.fixture
def api(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveApi]:
    monkeypatch.setattr(callers, "API_KEY_CACHE_SECONDS", 0)
    with live_api(database_url) as served:
        yield served


@pytest.fixture
def mine(api: LiveApi) -> str:
    earn(api.database_url, MINE, 100 * CREDIT)
    return api.open_wallet(MINE)


@pytest.fixture
def others(api: LiveApi) -> str:
    earn(api.database_url, OTHERS, 100 * CREDIT, chain_id=31338)
    wallet = {"chain_id": 31338, "address": f"0x{OTHERS.hex()}"}
    return str(api.post("/v1/accounts", {"wallet": wallet}).json()["id"])


def charge(api: LiveApi, account: str, api_key: str, operation: str = "report.render") -> str:
    """Charge one unit; returns what came of it."""
    body = {"account": account, "operation": operation}
    response = api.post("/v1/charges", body, api_key=api_key)
    return "charged" if response.status_code == 201 else code_of(response)


def made(response: httpx2.Response) -> tuple[int, str]:
    assert response.status_code == 201, response.text
    return response.json()["id"], response.json()["key"]


def test_a_personal_api_key_reaches_no_other_account_by_any_endpoint(
    api: LiveApi, mine: str, others: str
) -> None:
    key = owner(api, mine)
    assert charge(api, mine, key) == "charged"
    assert charge(api, others, key) == "no-such-account"
    charged = api.charge(others, "report.render").json()["id"]
    body: dict[str, object] = {"account": others, "operation": "ping", "expires_in": 5}
    held = api.post("/v1/reservations", body).json()["id"]
    for endpoint in FOR_APPS:
        if not PERSONAL_SCOPES.intersection(endpoint.scopes) or "{" not in endpoint.path:
            continue
        path = (
            path_of(endpoint)
            .replace("acct_0000000000001", others)
            .replace("chg_0000000000001_1", charged)
            .replace("rsv_0000000000001_1", held)
        )
        headers = {
            "Idempotency-Key": "k",
            "Credits-Account": others,
            "X-Request-Id": "r",
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
        }
        content = b'{"app": "shop", "amount": "1", "until": "2030-01-01T00:00:00Z"}'
        response = api.client.request(
            endpoint.methods[0],
            path,
            headers=headers,
            content=b"" if endpoint.methods[0] == "GET" else content,
        )
        if response.status_code == 200:  # of its own
            assert response.json()["account"] == mine
            continue
        assert response.status_code in {400, 403, 404}, (endpoint.name, response.text)
        if response.status_code == 400:
            assert code_of(response) == "invalid-request"
    assert api.get(f"/v1/accounts/{others}/balance").json()["available"] == "93"


def test_a_person_gives_nothing_back_and_holds_nothing(api: LiveApi, mine: str) -> None:
    key = owner(api, mine)
    body = {"account": mine, "operation": "report.render"}
    name = api.post("/v1/charges", body, api_key=key).json()["id"]
    for path, asked in (
        (f"/v1/charges/{name}/refund", {}),
        ("/v1/reservations", {**body, "expires_in": 5}),
        ("/v1/accounts", {"name": "mine too"}),
    ):
        response = api.post(path, asked, api_key=key)
        assert code_of(response) in {"for-apps-only", "missing-scope"}
    query = {"mode": "reserve"}
    headers = {"X-Request-Id": "1"}
    response = api.request(
        "GET", "/v1/authz/report.render", params=query, headers=headers, api_key=key
    )
    assert code_of(response) == "for-apps-only"
    assert api.get(f"/v1/accounts/{mine}/balance").json()["available"] == "93"


def test_operations_caps_and_scopes_are_told_apart(api: LiveApi, mine: str) -> None:
    only_ping = api.api_key(operations=["ping"])
    assert charge(api, mine, only_ping, "ping") == "charged"
    assert charge(api, mine, only_ping) == "operation-not-allowed"
    body = {"account": mine, "operation": "report.render", "expires_in": 5}
    assert code_of(api.post("/v1/reservations", body, api_key=only_ping)) == "operation-not-allowed"
    capped = api.api_key(caps=[Cap("day", 10 * CREDIT)])
    assert charge(api, mine, capped) == "charged"
    refused = api.post(
        "/v1/charges", {"account": mine, "operation": "report.render"}, api_key=capped, key="again"
    )
    assert (refused.status_code, code_of(refused)) == (403, "api-key-cap-reached")
    assert (refused.json()["required"], refused.json()["left"]) == ("7", "3")
    renews_at = datetime.fromisoformat(refused.json()["renews_at"])
    assert timedelta(0) < renews_at - datetime.now(UTC) <= timedelta(days=1)
    headers = {"X-Request-Id": "proxied", "Credits-Account": mine}
    proxied = api.request(
        "GET",
        "/v1/authz/report.render",
        params={"mode": "charge"},
        headers=headers,
        api_key=capped,
    )
    assert code_of(proxied) == "api-key-cap-reached"
    reading = api.api_key(["balance:read"])
    assert charge(api, mine, reading) == "missing-scope"
    operators = api.api_key(list(OPERATOR_SCOPES), kind="operator")
    assert operators.startswith("co_")
    assert charge(api, mine, operators) == "unauthenticated"


def test_a_replaced_key_and_its_successor_are_both_good_until_the_overlap_ends(
    api: LiveApi, mine: str
) -> None:
    old = owner(api, mine)
    number = api.request("GET", "/v1/keys", api_key=old).json()["data"][0]["id"]
    path = f"/v1/keys/{number}/rotate"
    answer = api.post(path, {"overlap": 2}, api_key=old, key="k")
    _, new = made(answer)
    again = api.post(path, {"overlap": 2}, api_key=old, key="k")
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.json()["key"], again.json()["id"]) == (None, answer.json()["id"])
    assert code_of(api.post(path, {"overlap": 3}, api_key=old, key="k")) == "idempotency-key-reused"
    assert code_of(api.post(path, {}, api_key=new)) == "api-key-replaced"
    for key in (old, new):
        assert charge(api, mine, key) == "charged"
    ends_at = datetime.fromisoformat(answer.json()["old_ends_at"])
    assert ends_at <= datetime.now(UTC) + timedelta(seconds=2)
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute("select pg_sleep_until(%s)", (ends_at,))
    assert charge(api, mine, old) == "unauthenticated"
    assert charge(api, mine, new) == "charged"
    kept = ("scopes", "operations", "caps", "rate", "expires_at", "account")
    before, after = api.request("GET", "/v1/keys", api_key=new).json()["data"]
    assert {name: before[name] for name in kept[:5]} == {
        **{name: after[name] for name in kept[:4]},
        "expires_at": None,
    }
    assert (after["state"], after["replaced_by"], before["spent"]) == (
        "expired",
        before["id"],
        "14",
    )


def test_an_api_key_gives_no_rights_that_it_lacks(api: LiveApi, mine: str) -> None:
    owners = owner(api, mine)
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    asked = {
        "scopes": ["charge:write", "keys:write"],
        "operations": ["ping", "report.render"],
        "caps": [{"period": "ever", "amount": "8"}],
        "expires_at": ends,
    }
    _, child = made(api.post("/v1/keys", asked, api_key=owners))
    assert child.startswith("cp_")
    for more, code in (
        ({**asked, "scopes": ["balance:read"], "caps": []}, "beyond-own-rights"),
        ({**asked, "operations": None, "caps": []}, "beyond-own-rights"),
        ({**asked, "operations": ["chat.completion"], "caps": []}, "beyond-own-rights"),
        (asked, "capped-already"),
        ({**asked, "scopes": ["accounts:attest"]}, "invalid-request"),
    ):
        assert code_of(api.post("/v1/keys", more, api_key=child)) == code
    least = {"scopes": ["charge:write"], "operations": ["report.render"]}
    answer = api.post("/v1/keys", least, api_key=child)
    _, grandchild = made(answer)
    said = answer.json()["api_key"]
    assert datetime.fromisoformat(said["expires_at"]) <= datetime.fromisoformat(ends)
    assert said["made_by"] is not None
    assert charge(api, mine, grandchild) == "charged"
    assert charge(api, mine, child) == "api-key-cap-reached"  # one cap for both
    mighty = api.request("GET", "/v1/keys", api_key=owners).json()["data"][-1]["id"]
    assert code_of(api.post(f"/v1/keys/{mighty}/rotate", {}, api_key=child)) == "beyond-own-rights"
    assert code_of(api.post("/v1/keys", least, api_key=grandchild)) == "missing-scope"
    assert code_of(api.post("/v1/keys", least)) == "for-owners-only"  # an app makes none


def test_an_api_key_with_a_rate_makes_and_takes_none_with_more(api: LiveApi, mine: str) -> None:
    owners = owner(api, mine)
    asked = {"scopes": ["keys:write"], "rate": {"requests": 100, "seconds": 60}}
    _, slow = made(api.post("/v1/keys", asked, api_key=owners))
    for requests, seconds in ((101, 600), (100, 59), (1_000_000, 1)):
        more = {**asked, "rate": {"requests": requests, "seconds": seconds}}
        assert code_of(api.post("/v1/keys", more, api_key=slow)) == "beyond-own-rights"
    fast = api.post("/v1/keys", {"scopes": ["keys:write"]}, api_key=owners).json()["id"]
    assert code_of(api.post(f"/v1/keys/{fast}/rotate", {}, api_key=slow)) == "beyond-own-rights"
    for rate in ({"requests": 100, "seconds": 60}, {"requests": 1, "seconds": 1}):
        made(api.post("/v1/keys", {**asked, "rate": rate}, api_key=slow))
    inherited = api.post("/v1/keys", {"scopes": ["keys:write"]}, api_key=slow).json()["api_key"]
    assert inherited["rate"] == asked["rate"]


@pytest.mark.parametrize(
    ("limits", "may"),
    [
        ({"scopes": ["consents:write"]}, "spend"),
        ({"scopes": ["consents:write"]}, "read"),
        ({"operations": ["ping"]}, "spend"),
        ({"caps": [{"period": "ever", "amount": "1"}]}, "spend"),
    ],
)
def test_an_api_key_lets_no_app_do_what_it_may_not(
    api: LiveApi, mine: str, limits: dict[str, object], may: str
) -> None:
    printer = api.api_key(app="printer")
    asked = {"scopes": ["charge:write", "balance:read", "consents:write"], **limits}
    _, limited = made(api.post("/v1/keys", asked, api_key=owner(api, mine)))
    path, consent = f"/v1/accounts/{mine}/consents", {"app": "printer", "may": may}
    assert code_of(api.post(path, consent, api_key=limited)) == "beyond-own-rights"
    assert charge(api, mine, printer) == "no-such-account"
    assert api.post(path, consent, api_key=owner(api, mine)).status_code == 201


def test_nobody_manages_the_api_keys_of_others(api: LiveApi, mine: str, others: str) -> None:
    own, theirs, other_app = owner(api, mine), owner(api, others), api.api_key(app="other")
    numbers = {
        key: {row["id"] for row in api.request("GET", "/v1/keys", api_key=key).json()["data"]}
        for key in (own, theirs, other_app, api.default_key)
    }
    assert all(numbers.values())
    assert sum(map(len, numbers.values())) == len(set.union(*numbers.values()))
    for key, its in numbers.items():
        for number in set.union(*numbers.values()) - its:
            path = f"/v1/keys/{number}"
            assert code_of(api.delete(path, api_key=key)) == "no-such-api-key"
            assert code_of(api.post(f"{path}/rotate", {}, api_key=key)) == "no-such-api-key"
    for wrong in ("0", "1x", "-1", "9" * 12):
        assert code_of(api.delete(f"/v1/keys/{wrong}", api_key=own)) == "no-such-api-key"
    (number,) = numbers[own]
    second = owner(api, mine)
    assert api.delete(f"/v1/keys/{number}", api_key=own).json()["state"] == "revoked"
    rotated = api.post(f"/v1/keys/{number}/rotate", {}, api_key=second)
    assert code_of(rotated) == "api-key-ended"
    assert charge(api, mine, own) == "unauthenticated"
    assert charge(api, others, theirs) == "charged"


def test_an_account_has_so_many_api_keys_and_no_more(api: LiveApi, mine: str) -> None:
    own = owner(api, mine)
    run(
        api.database_url,
        "insert into creditd.api_key (app_id, digest, hint, scopes, kind, root_id, account_id,"
        " family) select app_id, sha256(n::text::bytea), '', '{}', kind, root_id, account_id, 0"
        " from creditd.api_key, generate_series(2, 100) n where kind = 'personal'",
    )
    response = api.post("/v1/keys", {"scopes": ["balance:read"]}, api_key=own)
    assert code_of(response) == "too-many-api-keys"


def test_what_is_no_api_key_is_refused_alike_whatever_it_begins_with(api: LiveApi) -> None:
    said = {
        re.sub(r'"request_id":"[^"]*"', "", response.text)
        for kind in ("app", "personal", "operator")
        for response in [
            api.request("GET", "/v1/operations", api_key=new_api_key(kind).text),
        ]
    }
    assert len(said) == 1


def test_a_rate_is_told_and_kept(api: LiveApi) -> None:
    limited = api.api_key(rate=Rate(3, 3600))
    answers = [api.request("GET", "/v1/operations", api_key=limited) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"api-key";q=3;w=3600'}
    assert [re.findall(r";r=(\d+)", a.headers["ratelimit"]) for a in answers] == [
        *(["2"], ["1"], ["0"], ["0"], ["0"])
    ]
    refused = answers[-1]
    assert code_of(refused) == "quota-exceeded"
    assert refused.json()["violated-policies"] == ["api-key"]
    assert 1100 < int(refused.headers["retry-after"]) <= 1200
    assert int(refused.headers["retry-after"]) >= int(refused.headers["ratelimit"].split("t=")[1])
    unlimited = api.get("/v1/operations")
    assert unlimited.status_code == 200
    assert "ratelimit" not in unlimited.headers
    missing = api.request("GET", "/v1/nothing", api_key=limited)
    assert missing.status_code == 404


@pytest.fixture
def patient_api(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveApi]:
    """It remembers API keys for longer than a test takes."""
    monkeypatch.setattr(callers, "API_KEY_CACHE_SECONDS", 60)
    with live_api(database_url) as served:
        yield served


def test_a_flood_of_made_up_api_keys_keeps_nobody_else_from_reading(patient_api: LiveApi) -> None:
    """The books cannot say who they are: who is known reads on, and most of the others are told."""
    api = patient_api
    path = f"/v1/accounts/{api.open_wallet(MINE)}/entries"
    assert api.get(path).status_code == 200
    sent_away = 26

    async def stranger(client: httpx2.AsyncClient) -> int:
        headers = {"Authorization": f"Bearer {new_api_key().text}"}
        return (await client.get("/v1/operations", headers=headers)).status_code

    async def flood(connection: psycopg.Connection) -> list[int]:
        async with httpx2.AsyncClient(base_url=api.url, timeout=20) as client:
            asked = [
                asyncio.create_task(stranger(client))
                for _ in range(STRANGERS_WAITING_MAX + sent_away)
            ]
            first = [await each for each in islice(asyncio.as_completed(asked), sent_away)]
            assert set(first) == {503}
            assert (await asyncio.to_thread(api.get, path)).status_code == 200
            connection.rollback()
            return await asyncio.gather(*asked)

    with psycopg.connect(api.database_url) as connection:
        connection.execute("lock table creditd.api_key in access exclusive mode")
        statuses = asyncio.run(flood(connection))
    assert statuses.count(503) == sent_away
    assert set(statuses) == {401, 503}
