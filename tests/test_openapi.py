import importlib
import json
import pkgutil
from typing import Any

import pytest
from conftest import earn, run
from jsonschema import Draft202012Validator
from live_api import CREDIT, LiveApi
from openapi_spec_validator import OpenAPIV31SpecValidator
from owning import owner
from signing_person import ALICE_KEY, BOB_KEY, Person, sign

import api as api_package
from api.calling.calls import METHODS, Endpoint, VisitorEndpoint
from api.calling.sessions import COOKIE, PERSON_SCOPES
from api.endpoints import ENDPOINTS, OPERATOR_ENDPOINTS
from api.openapi import openapi_document, openapi_endpoint
from api.problems.table import BY_CAUSE, TYPES
from ledger.ids import parse_account

DOCUMENT = json.loads(
    json.dumps(openapi_document([*ENDPOINTS, openapi_endpoint(ENDPOINTS)]), sort_keys=True)
)
WALLET = bytes.fromhex("11" * 20)


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


def test_the_document_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_api_serves_the_document(api: LiveApi) -> None:
    assert api.get("/openapi.json").json() == DOCUMENT


def test_every_endpoint_is_described_with_what_it_asks_for() -> None:
    for endpoint in ENDPOINTS:
        methods = DOCUMENT["paths"][endpoint.path]
        if not isinstance(endpoint, Endpoint):
            method = "post" if isinstance(endpoint, VisitorEndpoint) else "get"
            assert methods[method]["security"] == []
            assert ("requestBody" in methods[method]) == (method == "post")
            continue
        for method in endpoint.methods:
            operation = methods[method.lower()]
            assert operation["security"] == security_of(endpoint)
            parameters = {parameter["name"] for parameter in operation["parameters"]}
            assert ("Idempotency-Key" in parameters) == endpoint.needs_key
            assert parameters >= set(endpoint.takes)
            assert ("requestBody" in operation) == endpoint.writes
            for scope in endpoint.scopes:
                assert scope in operation["description"]
            assert "401" in operation["responses"]


def security_of(endpoint: Endpoint[Any, Any]) -> list[dict[str, list[str]]]:
    if endpoint.for_sessions:
        return [{"session": []}]
    is_for_people = not endpoint.scopes or not PERSON_SCOPES.isdisjoint(endpoint.scopes)
    is_for_both = is_for_people and not endpoint.for_apps
    return [{"apiKey": []}, {"session": []}] if is_for_both else [{"apiKey": []}]


def test_the_document_says_where_the_session_is() -> None:
    scheme = DOCUMENT["components"]["securitySchemes"]["session"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", COOKIE)
    assert "403" in DOCUMENT["paths"]["/v1/sign-in"]["delete"]["responses"]
    assert "403" not in DOCUMENT["paths"]["/v1/sign-in"]["get"]["responses"]


def test_every_problem_of_an_endpoint_is_told_apart_by_its_type() -> None:
    responses = DOCUMENT["paths"]["/v1/charges"]["post"]["responses"]
    assert set(responses) == {
        *("201", "400", "401", "402", "403", "404", "408", "409", "413", "415", "422", "429"),
        *("500", "503"),
    }  # fmt: skip
    unprocessable = responses["422"]["content"]["application/problem+json"]["schema"]["oneOf"]
    types = [each["allOf"][1]["properties"]["type"]["const"] for each in unprocessable]
    assert types == [
        "/problems/idempotency-key-reused",
        "/problems/unknown-operation",
        "/problems/unknown-model",
        "/problems/too-expensive",
    ]


def test_the_table_of_problems_has_one_row_for_each_cause_and_code() -> None:
    assert len(BY_CAUSE) == len(TYPES) == len({row.code for row in TYPES})


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"account": "acct_0000000000001", "operation": "chat"}, True),
        (
            {
                "account": "acct_0000000000001",
                "operation": "chat",
                "units": 5,
                "price_version": None,
            },
            True,
        ),
        ({"account": "acct_0000000000001", "operation": "chat", "units": "5"}, False),
        ({"account": "acct_0000000000001", "operation": "chat", "units": 0}, False),
        ({"account": "acct_0000000000001", "operation": "chat", "units": True}, False),
        ({"account": "acct_0000000000001", "operation": "chat", "colour": "red"}, False),
        ({"account": "acct_0000000000001", "operation": "a b"}, False),
        ({"account": "acct_0000000000001"}, False),
    ],
)
def test_the_document_accepts_the_charges_that_the_api_accepts(body: object, fits: bool) -> None:
    assert schema("ChargeRequest").is_valid(body) == fits


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"name": "alice"}, True),
        ({"wallet": {"chain_id": 1, "address": "0x" + "11" * 20}}, True),
        ({"name": "alice", "wallet": {"chain_id": 1, "address": "0x" + "11" * 20}}, False),
        ({}, False),
    ],
)
def test_the_document_accepts_the_accounts_that_the_api_accepts(body: object, fits: bool) -> None:
    assert schema("AccountRequest").is_valid(body) == fits


def test_live_answers_are_as_the_document_says(api: LiveApi) -> None:
    """Every answer that the client of these tests gets is held against the document."""
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    api.post("/v1/accounts", {"name": "alice"})
    charge = api.charge(account, "report.render", key="k").json()["id"]
    for path in (f"/v1/charges/{charge}", f"/v1/charges/{charge}/refund"):
        api.request("GET" if path.endswith(charge) else "POST", path, headers={"Authorization": ""})
    api.post(f"/v1/charges/{charge}/refund", {"amount": "1"})
    item = {"account": account, "operation": "report.render", "key": "k"}
    api.post("/v1/charges/bulk", {"charges": [item, {**item, "units": 1_000}, {}]})
    api.post(f"/v1/charges/{charge}/refund", {"amount": "100"})
    for units in (1, 0):
        api.post("/v1/quotes", {"account": account, "operation": "report.render", "units": units})
    api.post("/v1/charges/x/refund", {})
    api.post(f"/v1/charges/{charge}/refund", {"amount": "x"})
    api.get(f"/v1/charges/{charge}")
    api.get("/v1/charges/x")
    api.get("/v1/reservations/x")
    for what in ("balance", "entries", "earnings"):
        api.get(f"/v1/accounts/{account}/{what}")
        api.get(f"/v1/accounts/x/{what}")
        api.get(f"/v1/accounts/{account}/{what}", limit="x")
    earning = api.get(f"/v1/accounts/{account}/earnings").json()["data"][0]["id"]
    for name in (earning, "ern_7", "x"):
        api.get(f"/v1/accounts/{account}/earnings/{name}")
    for what in ("usage", "usage.csv", "entries.csv", "earnings.csv"):
        api.get(f"/v1/accounts/{account}/{what}")
        api.get(f"/v1/accounts/x/{what}")
    with api.followed(account):
        pass
    reserve(api, account)
    share(api)
    consent(api, account, owner(api, account))
    sign_in(api)
    for method in METHODS:
        headers = {"Credits-Account": account, "X-Request-Id": method}
        api.request(method, "/v1/authz/ping", params={"mode": "charge"}, headers=headers)
    keys(api, account)
    for path in (
        "/v1/operations",
        "/v1/operations/ping",
        "/v1/operations/no",
        "/healthz",
        "/readyz",
        "/status",
        "/metrics",
        "/openapi.json",
    ):
        api.get(path)
    api.get("/problems")
    api.get("/problems/not-found")
    refuse_charges(api, account)
    answered = {name for name, status in api.seen if status.startswith("2")}
    assert answered == {
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
    }
    assert {status for name, status in api.seen if name == "charge"} >= {
        "201", "400", "401", "402", "403", "404", "409", "413", "415", "422"
    }  # fmt: skip


def keys(api: LiveApi, account: str) -> None:
    own = owner(api, account)
    asked = {"scopes": ["balance:read"], "caps": [{"period": "day", "amount": "5"}]}
    made = api.post("/v1/keys", asked, api_key=own, key="k").json()
    api.post("/v1/keys", asked, api_key=own, key="k")
    api.get("/v1/keys")
    for how in ("/rotate", "/rotate"):
        api.post(f"/v1/keys/{made['id']}{how}", {}, api_key=own)
    api.delete(f"/v1/keys/{made['id']}", api_key=own)
    api.post(f"/v1/keys/{made['id']}/rotate", {})


def reserve(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render", "expires_in": 60}
    for how, body in (
        ("extend", {"until": "2020-01-01T00:00:00Z"}),
        ("settle", {"amount": "1"}),
        ("settle", {"units": 0}),
        ("release", {}),
    ):
        name = api.post("/v1/reservations", asked).json()["id"]
        for _ in range(2):
            api.post(f"/v1/reservations/{name}/{how}", body)
        api.post(f"/v1/reservations/{name}/release", {})
        api.get(f"/v1/reservations/{name}")


def share(api: LiveApi) -> None:
    api.get("/v1/accounts")
    api.get("/v1/organisations")
    pool, other = (
        str(api.post("/v1/organisations", {"name": name}).json()["id"])
        for name in ("works", "labs")
    )
    organisation = f"/v1/organisations/{pool}"
    member = api.post(f"{organisation}/members", {"name": "anna"}).json()["id"]
    of_member = f"{organisation}/members/{member}"
    for path in (organisation, f"{organisation}/members", of_member, f"{of_member}/budgets"):
        api.get(path)
        api.get(path.replace(pool, "acct_0000000000007"))
    api.put(f"{of_member}/budgets/day", {"amount": "5"})
    api.put(f"{of_member}/budgets/year", {"amount": "5"})
    api.delete(f"{of_member}/budgets/day")
    api.put(f"/v1/accounts/{member}/alert", {"below": "1"})
    run(
        api.database_url,
        f"select creditd.grant_credits({ids(pool)}, 'promotional', 5000000,"
        " gen_random_uuid(), gen_random_uuid(), '-infinity', 'infinity', 100::smallint, null,"
        " 'given', null, null, null)",
    )
    for how in ("allocations", "take-backs"):
        api.post(f"{of_member}/{how}", {"amount": "1"})
        api.post(f"{of_member}/{how}", {"amount": "100"})
    api.post(f"{of_member}/move", {"to": other})
    api.delete(of_member)


def consent(api: LiveApi, account: str, api_key: str) -> None:
    path = f"/v1/accounts/{account}/consents"
    api.api_key(app="printer")
    for app in ("printer", "nobody"):
        for _ in range(2):
            api.request("POST", path, json={"app": app}, api_key=api_key)
    for number in (2, 2, 9):
        api.delete(f"{path}/{number}", api_key=api_key)
    api.request("GET", path, api_key=api_key)
    for method in ("GET", "POST"):
        api.request(method, path, json={"app": "printer"})
    api.get("/v1/consents")


def ids(account: str) -> str:
    return ", ".join(str(number) for number in parse_account(account))


def sign_in(api: LiveApi) -> None:
    alice, bob = Person(api, ALICE_KEY), Person(api, BOB_KEY)
    alice.sign_in()
    text = alice.ask_to_link(bob)
    assert alice.link(text, sign(text, bob.key)).status_code == 201
    alice.send("GET", "/v1/wallets")
    alice.send("GET", "/v1/sign-in")
    alice.send("DELETE", f"/v1/wallets/{bob.address}")
    alice.send("DELETE", "/v1/sign-in/all")
    alice.sign_in()
    alice.send("DELETE", "/v1/sign-in")


def refuse_charges(api: LiveApi, account: str) -> None:
    asked = {"account": account, "operation": "report.render"}
    headers = {"Idempotency-Key": "n", "Content-Type": "application/json"}
    api.charge(account, "report.render", 100)
    api.charge(account, "report.render", 2, key="k")
    api.charge("acct_0000000000007", "report.render")
    api.charge(account, "no.such.operation")
    api.post("/v1/charges", {**asked, "price_version": 9})
    api.post("/v1/charges", asked, api_key=api.api_key(["balance:read"]))
    api.post("/v1/charges", {**asked, "units": "1"})
    api.request("POST", "/v1/charges", json=asked)
    api.request("POST", "/v1/charges", content=b"{", headers=headers)
    api.request("POST", "/v1/charges", content=b" " * 70_000, headers=headers)
    api.request("POST", "/v1/charges", headers={"Authorization": "", "Idempotency-Key": "n"})
    api.request("POST", "/v1/charges", content=b"{}", headers={"Idempotency-Key": "n"})
    run(api.database_url, "update creditd.account set status = 'frozen'")
    api.charge(account, "report.render")


def test_every_shape_of_the_wire_is_in_its_document() -> None:
    operators = openapi_document(OPERATOR_ENDPOINTS)
    OpenAPIV31SpecValidator(operators).validate()
    served = (*ENDPOINTS, *OPERATOR_ENDPOINTS)
    queries = {endpoint.query for endpoint in served if isinstance(endpoint, Endpoint)}
    count = 0
    for module in pkgutil.walk_packages(api_package.__path__, "api."):
        if not module.name.endswith("wire"):
            continue
        document = operators if module.name.startswith("api.operating.") else DOCUMENT
        shapes = {
            shape
            for shape in vars(importlib.import_module(module.name)).values()
            if isinstance(shape, type) and shape.__module__ == module.name
        }
        count += len(shapes)
        described = set(document["components"]["schemas"])
        assert {shape.__name__ for shape in shapes - queries} <= described
    assert count > 20
