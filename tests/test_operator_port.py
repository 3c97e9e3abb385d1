"""The operator's port: who is let in, what is done there, and what is kept of it."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest
from conftest import earn, name_of, run
from live_api import CREDIT, LiveApi, code_of
from operator_port import Ports, both_ports, operator_key
from sqlalchemy import make_url

from api.calling.addresses import format_address
from api.calling.calls import AnyEndpoint, Endpoint
from api.endpoints import OPERATOR_ENDPOINTS, PUBLIC_ENDPOINTS
from api.metrics import Metrics
from api.openapi import openapi_document
from api.serve import listening, operator_listening
from ledger.alarms import note_audit
from ledger.audit import audit, render
from ledger.errors import LedgerError
from ledger.ids import parse_account
from ledger.scopes import SCOPES

WALLET, OTHER = bytes.fromhex("11" * 20), bytes.fromhex("22" * 20)
NOBODY = "acct_0000000000007"
SIGNED = {"by": "ada", "reason": "ticket 7"}


@pytest.fixture
def ports(database_url: str) -> Iterator[Ports]:
    with both_ports(database_url) as served:
        yield served


def user(ports: Ports, name: str = "alice") -> str:
    return str(ports.public.post("/v1/accounts", {"name": name}).json()["id"])


def adjust(ports: Ports, account: str, amount: str, key: str | None = None) -> httpx2.Response:
    body = {"account": account, "amount": amount, **SIGNED}
    return ports.operator.post("/v1/adjustments", body, key=key)


def balance(ports: Ports, account: str) -> dict[str, str]:
    with psycopg.connect(ports.public.database_url) as books:
        row = books.execute(
            "select available, debt from creditd.account where (root_id, account_id) = (%s, %s)",
            (*parse_account(account),),
        ).fetchone()
    assert row is not None
    return {"available": str(row[0] / CREDIT), "debt": str(row[1] / CREDIT)}


def acts(ports: Ports) -> list[tuple[object, ...]]:
    rows = ports.operator.get("/v1/acts").json()["data"]
    assert {(row["by"], row["reason"]) for row in rows} <= {("ada", "ticket 7")}
    assert all(row["api_key"] is not None for row in rows)
    return [(row["kind"], row["account"], row["grant"], row["amount"]) for row in reversed(rows)]


def sound(ports: Ports) -> None:
    report = asyncio.run(audit(ports.public.database_url))
    assert report.balanced, render(report)


def guarded(endpoints: Sequence[AnyEndpoint]) -> list[Endpoint[Any, Any]]:
    return [each for each in endpoints if isinstance(each, Endpoint)]


def path_of(endpoint: Endpoint[Any, Any]) -> str:
    parts = (part if not part.startswith("{") else NOBODY for part in endpoint.path.split("/"))
    return "/".join(parts)


def test_an_apps_api_key_opens_nothing_on_the_operators_port(ports: Ports) -> None:
    app = ports.public.api_key(tuple(SCOPES))
    named_so = ports.public.api_key(("operator:read", "operator:write"), app="shop")
    for endpoint in guarded(OPERATOR_ENDPOINTS):
        for api_key in (app, named_so):
            headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": "k"}
            answer = ports.operator.client.request(
                endpoint.method, path_of(endpoint), headers=headers, json={}
            )
            assert (answer.status_code, code_of(answer)) == (401, "unauthenticated")
            assert "another port" in answer.json()["detail"]


def test_an_operators_api_key_opens_nothing_on_the_public_port(ports: Ports) -> None:
    both = operator_key(ports.operator.database_url, (*SCOPES, "operator:read", "operator:write"))
    for endpoint in guarded(PUBLIC_ENDPOINTS):
        headers = {"Authorization": f"Bearer {both}", "Idempotency-Key": "k"}
        method = "GET" if endpoint.method == "ANY" else endpoint.method
        answer = ports.public.client.request(method, path_of(endpoint), headers=headers, json={})
        assert answer.status_code == 401, endpoint.path
        assert "another port" in answer.json()["detail"]


def test_what_is_on_one_port_is_not_on_the_other(ports: Ports) -> None:
    for path in ("/status", "/metrics"):
        assert ports.public.client.get(path).status_code == 404
        assert ports.operator.client.get(path).status_code == 200
    for path in ("/healthz", "/readyz", "/problems/not-found", "/openapi.json"):
        assert ports.public.client.get(path).status_code == 200
        assert ports.operator.client.get(path).status_code == 200
    assert ports.operator.get("/openapi.json").json()["paths"].keys() == openapi_document(
        OPERATOR_ENDPOINTS
    )["paths"].keys() | {"/openapi.json"}
    assert not {
        path for path in ports.public.document["paths"] if "adjust" in path or "acts" in path
    }
    for path in ("/v1/sources", "/v1/adjustments", "/v1/acts"):
        assert ports.public.client.get(path).status_code == 404
    # The process counts the requests of both ports.
    ports.public.post("/v1/accounts", {"name": "alice"})
    told = ports.operator.client.get("/metrics").text
    assert 'creditd_http_requests_total{endpoint="open-account",status="201"} 1.0' in told


def test_reading_does_not_let_write(ports: Ports) -> None:
    reader = operator_key(ports.operator.database_url, ("operator:read",))
    writer = operator_key(ports.operator.database_url, ("operator:write",))
    for endpoint in guarded(OPERATOR_ENDPOINTS):
        wrong = writer if endpoint.scopes == ("operator:read",) else reader
        answer = ports.operator.request(
            endpoint.method, path_of(endpoint), api_key=wrong, content=b"{"
        )
        assert (answer.status_code, code_of(answer)) == (403, "missing-scope")


def test_the_api_by_its_role_can_do_none_of_it(ports: Ports) -> None:
    with psycopg.connect(ports.public.database_url, autocommit=True) as session:
        session.execute("set role creditd_api")
        for call in (
            "adjust(1, 1, 1, gen_random_uuid(), gen_random_uuid(), 0, 'a', 'b')",
            "take_back_grant(1, 1, 1, 0, 'a', 'b')",
            "attest_link(1, '\\x01', 1, 1, 0, 'a', 'b')",
            "end_link(1, '\\x01', 1, 1, 0, 'a', 'b')",
            "set_frozen(1, 1, true, 0, 'a', 'b')",
            "note_replay('a', 0, null, 0, 'a', 'b')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(f"select creditd.{call}")


def test_an_adjustment_is_granted_once_and_kept_with_its_reason(ports: Ports) -> None:
    account = user(ports)
    first = adjust(ports, account, "12.5", "a")
    again = adjust(ports, account, "12.5", "a")
    assert (first.status_code, first.json()) == (201, again.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["available"] == "12.5"
    reused = adjust(ports, account, "13", "a")
    assert (reused.status_code, code_of(reused)) == (422, "idempotency-key-reused")
    nothing = adjust(ports, account, "0")
    assert (nothing.status_code, code_of(nothing)) == (422, "beyond-range")
    assert adjust(ports, NOBODY, "1").status_code == 404
    assert acts(ports) == [("adjustment", account, first.json()["grant"], "12.5")]
    for lacking in ("by", "reason"):
        body = {"account": account, "amount": "1", **SIGNED}
        del body[lacking]
        assert ports.operator.post("/v1/adjustments", body).status_code == 400
    unkeyed = ports.operator.request(
        "POST", "/v1/adjustments", json={"account": account, "amount": "1", **SIGNED}
    )
    assert code_of(unkeyed) == "idempotency-key-missing"
    sound(ports)


def test_one_key_adjusts_once_however_many_ask_at_the_same_time(ports: Ports) -> None:
    account = user(ports)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: adjust(ports, account, "3", "one"), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert balance(ports, account)["available"] == "3.0"
    assert len(acts(ports)) == 1


def take_back(ports: Ports, account: str, grant: int) -> httpx2.Response:
    body = {"account": account, "grant": grant, **SIGNED}
    return ports.operator.post("/v1/take-backs", body)


def test_a_grant_is_taken_back_and_what_was_spent_is_owed(ports: Ports) -> None:
    account = user(ports)
    grant = adjust(ports, account, "20").json()["grant"]
    assert ports.public.charge(account, "report.render").status_code == 201
    first = take_back(ports, account, grant)
    told = {key: first.json()[key] for key in ("granted", "taken", "available", "debt")}
    assert told == {"granted": "20", "taken": "13", "available": "0", "debt": "7"}
    again = take_back(ports, account, grant)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert [act[0] for act in acts(ports)] == ["adjustment", "take_back"]
    sound(ports)
    # An adjustment forgives what is owed.
    assert adjust(ports, account, "8").json()["repaid"] == "7"
    assert balance(ports, account) == {"available": "1.0", "debt": "0.0"}
    sound(ports)


def test_what_is_reserved_of_a_grant_taken_back_is_decided_when_that_ends(ports: Ports) -> None:
    account = user(ports)
    grant = adjust(ports, account, "20").json()["grant"]
    asked = {"account": account, "operation": "report.render", "expires_in": 600}
    names = [ports.public.post("/v1/reservations", asked).json()["id"] for _ in range(2)]
    assert take_back(ports, account, grant).json()["taken"] == "6"
    sound(ports)
    ports.public.post(f"/v1/reservations/{names[0]}/settle", {"amount": "5"})
    ports.public.post(f"/v1/reservations/{names[1]}/release", {})
    assert balance(ports, account) == {"available": "0.0", "debt": "5.0"}
    sound(ports)


def test_a_grant_is_taken_back_wherever_it_has_moved_to(ports: Ports) -> None:
    pool = str(ports.public.post("/v1/organisations", {"name": "works"}).json()["id"])
    members = f"/v1/organisations/{pool}/members"
    anna = str(ports.public.post(members, {"name": "anna"}).json()["id"])
    grant = adjust(ports, pool, "20").json()["grant"]
    ports.public.post(f"{members}/{anna}/allocations", {"amount": "12"})
    assert ports.public.charge(anna, "report.render").status_code == 201
    assert take_back(ports, pool, grant).json()["taken"] == "13"
    assert balance(ports, pool) == {"available": "0.0", "debt": "0.0"}
    assert balance(ports, anna) == {"available": "0.0", "debt": "7.0"}
    sound(ports)


def test_what_a_chain_granted_nobody_takes_back(ports: Ports) -> None:
    earn(ports.public.database_url, WALLET, 20 * CREDIT)
    account = ports.public.open_wallet(WALLET)
    for number in (1, 2, 2**62):
        refused = take_back(ports, account, number)
        assert (refused.status_code, code_of(refused)) == (404, "no-such-grant")
    assert balance(ports, account)["available"] == "20.0"


def test_an_address_that_cannot_sign_is_linked_and_the_link_ends(ports: Ports) -> None:
    earn(ports.public.database_url, WALLET, 20 * CREDIT)
    account, other = user(ports), user(ports, "bob")
    body = {"account": account, "address": format_address(WALLET), "chain_id": None, **SIGNED}
    linked = ports.operator.post("/v1/wallet-links", body)
    assert (linked.status_code, linked.json()["moved"]) == (201, "20")
    assert ports.operator.post("/v1/wallet-links", body).status_code == 200
    elsewhere = ports.operator.post("/v1/wallet-links", {**body, "account": other})
    assert (elsewhere.status_code, code_of(elsewhere)) == (409, "linked-elsewhere")
    not_theirs = ports.operator.post("/v1/wallet-links/end", {**body, "account": other})
    assert (not_theirs.status_code, code_of(not_theirs)) == (409, "linked-elsewhere")
    unknown = ports.operator.post("/v1/wallet-links", {**body, "account": NOBODY})
    assert unknown.status_code == 404
    assert ports.operator.post("/v1/wallet-links", {**body, "address": "0x1"}).status_code == 400
    earn(ports.public.database_url, WALLET, 5 * CREDIT)
    assert balance(ports, account)["available"] == "25.0"
    ended = ports.operator.post("/v1/wallet-links/end", body)
    assert ended.status_code == 200
    again = ports.operator.post("/v1/wallet-links/end", body)
    assert again.headers["idempotent-replayed"] == "true"
    earn(ports.public.database_url, WALLET, 5 * CREDIT)
    assert balance(ports, account)["available"] == "25.0"
    assert [act[:2] for act in acts(ports)] == [("link", account), ("unlink", account)]
    own = ports.public.open_wallet(OTHER)
    ports.operator.post("/v1/wallet-links", {**body, "address": format_address(OTHER)})
    chained = ports.operator.post("/v1/wallet-links", {**body, "account": own})
    assert (chained.status_code, code_of(chained)) == (409, "link-chained")
    sound(ports)


def test_an_account_is_frozen_and_opened_with_who_and_why(ports: Ports) -> None:
    account = user(ports)
    adjust(ports, account, "20")
    path = f"/v1/accounts/{account}"
    first = ports.operator.post(f"{path}/freeze", SIGNED)
    assert first.json() == {"account": account, "frozen": True, "changed": True}
    assert ports.operator.post(f"{path}/freeze", SIGNED).json()["changed"] is False
    refused = ports.public.charge(account, "report.render")
    assert (refused.status_code, code_of(refused)) == (403, "account-frozen")
    assert ports.operator.post(f"{path}/unfreeze", SIGNED).json()["changed"] is True
    assert ports.public.charge(account, "report.render").status_code == 201
    assert [act[0] for act in acts(ports)] == ["adjustment", "freeze", "unfreeze"]
    for name in (NOBODY, "x"):
        assert ports.operator.post(f"/v1/accounts/{name}/freeze", SIGNED).status_code == 404
    for body in ({}, {"by": "", "reason": "x"}, {**SIGNED, "reason": "x" * 501}):
        assert ports.operator.post(f"{path}/freeze", body).status_code == 400


def test_sources_are_told_with_what_came_of_them(ports: Ports) -> None:
    for number in range(3):
        earn(ports.public.database_url, bytes([number + 1]) * 20, CREDIT)
    earn(ports.public.database_url, WALLET, CREDIT, chain_id=1)
    run(ports.public.database_url, SET_ASIDE)
    (first, second) = pages(ports.operator, "/v1/sources")
    assert {key: first[key] for key in ("source", "seen", "granted_events", "granted")} == {
        "source": "given-31337",
        "seen": 3,
        "granted_events": 3,
        "granted": "3",
    }
    assert (first["set_aside"], first["followed_to"], second["set_aside"]) == (3, 2, 0)
    everything = pages(ports.operator, "/v1/set-aside")
    assert [row["ordinal"] for row in everything] == [0, 1, 2]
    both_ways = "POST /v1/replays, or creditd replay --source given-31337"
    assert everything[0]["remedy"] == both_ways
    assert everything[0]["reason"] == "too short"
    for params in ({"chain": "chain-31337"}, {"source": "given-31337"}):
        assert len(ports.operator.get("/v1/set-aside", **params).json()["data"]) == 3
    for params in ({"chain": "chain-1"}, {"source": "other"}):
        assert ports.operator.get("/v1/set-aside", **params).json()["data"] == []
    for path in ("/v1/sources", "/v1/set-aside", "/v1/acts"):
        assert ports.operator.get(path, cursor="x").status_code == 400
    alarms = ports.operator.get("/v1/alarms").json()["data"]
    assert "set_aside" in {row["alarm"] for row in alarms}


SET_ASIDE = """
insert into creditd.set_aside (chain_id, tx_hash, ordinal, block_number, block_hash, log_index,
                               rule_id, address, topics, data, reason)
  select 31337, sha256('tx'), n, 0, sha256('block'), n, r.rule_id, decode(repeat('01', 20), 'hex'),
    array[sha256('topic')], '\\x0102', 'too short'
  from generate_series(0, 2) n cross join creditd.rule r where r.chain_id = 31337
"""


def pages(api: LiveApi, path: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, limit="1", **cursor).json()
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_a_process_without_the_command_offers_no_replays(ports: Ports) -> None:
    earn(ports.public.database_url, WALLET, CREDIT)
    refused = ports.operator.post("/v1/replays", {"source": "given-31337", **SIGNED})
    assert (refused.status_code, code_of(refused)) == (501, "replays-not-offered")
    assert ports.operator.get("/v1/acts").json()["data"] == []


def test_the_last_audit_is_told(ports: Ports) -> None:
    assert ports.operator.get("/v1/audit").json() == {"at": None, "breaches": None, "said": None}
    url = ports.public.database_url
    asyncio.run(note_audit(url, asyncio.run(audit(url))))
    told = ports.operator.get("/v1/audit").json()
    assert (told["breaches"], told["said"]) == (0, "")
    assert told["at"] is not None


def test_a_database_login_that_may_not_act_as_an_operator_is_told_so(database_url: str) -> None:
    login = f"login_{name_of(database_url)}"
    run(database_url, f"create role {login} login in role creditd_api")
    url = make_url(database_url).set(username=login).render_as_string(hide_password=False)

    async def main() -> None:
        async with (
            listening(url, host="127.0.0.1", port=0),
            operator_listening(url, host="127.0.0.1", port=0, metrics=Metrics()),
        ):
            raise AssertionError("the port was opened")

    try:
        with pytest.raises(LedgerError, match="may not act for this program"):
            asyncio.run(main())
    finally:
        run(database_url, f"drop role {login}")
