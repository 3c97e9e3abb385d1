"""Every problem there is, provoked over a real socket."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from conftest import earn, run
from live_api import CREDIT, LiveApi, exchange, live_api
from owning import owner

from api.problems.table import BY_CODE
from ledger.api_key_terms import Cap

WALLET = bytes.fromhex("11" * 20)
NOBODY = "acct_0000000000007"
RENDER = "report.render"


@dataclass
class Stage:
    """An API, an account with credits, and what was done with it."""

    api: LiveApi
    account: str
    own: str
    charge: str
    reservation: str
    ended: str
    personal: str
    narrow: str

    def ask(self, **changed: object) -> httpx2.Response:
        """Charge, unless something else is said."""
        return self.api.post(
            "/v1/charges", {"account": self.account, "operation": RENDER, **changed}
        )

    def reserve(self, **changed: object) -> httpx2.Response:
        body = {"account": self.account, "operation": RENDER, "expires_in": 600}
        return self.api.post("/v1/reservations", {**body, **changed})

    def raw(self, *pieces: bytes) -> bytes:
        return exchange(self.api, *pieces)

    def headed(self, name: str, value: str, content: bytes = b"{}") -> httpx2.Response:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json", name: value}
        return self.api.request("POST", "/v1/charges", headers=headers, content=content)


@pytest.fixture
def stage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("api.connections.BODY_SECONDS", 0.2)
    with live_api(database_url) as api:
        earn(database_url, WALLET, 40 * CREDIT)
        account = api.open_wallet(WALLET)
        asked = {"account": account, "operation": RENDER, "expires_in": 600}
        charge = api.charge(account, RENDER, key="used").json()["id"]
        ended, open_one = (api.post("/v1/reservations", asked).json()["id"] for _ in range(2))
        api.post(f"/v1/reservations/{ended}/release", {})
        own = api.post("/v1/accounts", {"name": "the app's own"}).json()["id"]
        personal = owner(api, own)
        narrow = api.api_key(operations=["ping"])
        yield Stage(api, account, own, charge, open_one, ended, personal, narrow)


def capped(stage: Stage) -> httpx2.Response:
    body = {"account": stage.account, "operation": RENDER}
    api_key = stage.api.api_key(caps=[Cap("day", CREDIT)])
    return stage.api.post("/v1/charges", body, api_key=api_key)


def priced_by_model(stage: Stage) -> httpx2.Response:
    run(
        stage.api.database_url,
        "insert into creditd.operation (name) values ('by.model');"
        " insert into creditd.price (operation_id, version, base, per_unit, unit, model)"
        " select operation_id, 1, 1, 1, 'unit', 'small' from creditd.operation"
        " where name = 'by.model'",
    )
    answer = stage.ask(operation="by.model")
    assert answer.json()["models"] == ["small"]
    return answer


def asked_twice(stage: Stage) -> httpx2.Response:
    headers = {"Credits-Account": stage.account, "X-Request-Id": "call"}
    for _ in range(2):
        answer = stage.api.request(
            "GET", "/v1/authz/ping", params={"mode": "charge"}, headers=headers
        )
    return answer


def frozen(stage: Stage) -> httpx2.Response:
    run(stage.api.database_url, "update creditd.account set status = 'frozen'")
    try:
        return stage.ask()
    finally:
        run(stage.api.database_url, "update creditd.account set status = 'open'")


def other_release(stage: Stage) -> httpx2.Response:
    run(stage.api.database_url, "update creditd.schema_version set version_num = '0000'")
    return stage.api.get("/readyz")


def without_a_place(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as patched:
        patched.setattr("api.connections.CONNECTIONS_MAX", 0)
        return stage.raw()


def half_a_body(stage: Stage) -> bytes:
    return stage.raw(
        b"POST /v1/charges HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 9\r\n"
        b"Authorization: Bearer " + stage.api.default_key.encode() + b"\r\n\r\n{"
    )


Provoke = Callable[[Stage, pytest.MonkeyPatch], httpx2.Response | bytes]
HERE: dict[str, Provoke] = {
    "invalid-request": lambda s, _: s.ask(units=0),
    "malformed-json": lambda s, _: s.headed("A", "a", b"{"),
    "idempotency-key-missing": lambda s, _: s.api.request("POST", "/v1/charges", json={}),
    "idempotency-key-invalid": lambda s, _: s.headed("Idempotency-Key", "x" * 256),
    "not-found": lambda s, _: s.api.get("/nowhere"),
    "method-not-allowed": lambda s, _: s.api.request("PATCH", "/v1/charges"),
    "body-timed-out": lambda s, _: half_a_body(s),
    "body-too-large": lambda s, _: s.headed("A", "a", b" " * 70_000),
    "unsupported-media-type": lambda s, _: s.headed("Content-Type", "text/plain"),
    "idempotency-key-reused": lambda s, _: s.api.charge(s.account, RENDER, 2, key="used"),
    "malformed-http": lambda s, _: s.raw(b"\x16\x03\x01"),
    "headers-too-large": lambda s, _: s.raw(b"GET / HTTP/1.1\r\nA: " + b"a" * 17_000),
    "unauthenticated": lambda s, _: s.headed("Authorization", "Bearer ck_no"),
    "missing-scope": lambda s, _: s.api.request(
        "POST", "/v1/charges", api_key=s.api.api_key(["balance:read"])
    ),
    "for-apps-only": lambda s, _: s.api.post(
        f"/v1/charges/{s.charge}/refund", {}, api_key=s.personal
    ),
    "operation-not-allowed": lambda s, _: s.api.post(
        "/v1/charges", {"account": s.account, "operation": RENDER}, api_key=s.narrow
    ),
    "no-consent-needed": lambda s, _: s.api.request(
        "POST", f"/v1/accounts/{s.own}/consents", json={"app": "shop"}, api_key=s.personal
    ),
    "api-key-cap-reached": lambda s, _: capped(s),
    "insufficient-credits": lambda s, _: s.ask(units=100),
    "reservation-exceeded": lambda s, _: s.api.post(
        f"/v1/reservations/{s.reserve(over_max='100').json()['id']}/settle", {"amount": "99"}
    ),
    "price-changed": lambda s, _: s.ask(price_version=9),
    "reservation-ended": lambda s, _: s.api.post(
        f"/v1/reservations/{s.ended}/settle", {"amount": "1"}
    ),
    "authorization-replayed": lambda s, _: asked_twice(s),
    "unknown-operation": lambda s, _: s.ask(operation="no.such"),
    "unknown-model": lambda s, _: priced_by_model(s),
    "more-than-taken": lambda s, _: s.api.post(f"/v1/charges/{s.charge}/refund", {"amount": "8"}),
    "over-bound": lambda s, _: s.api.post(
        f"/v1/reservations/{s.reservation}/settle", {"amount": "8"}
    ),
    "duration-refused": lambda s, _: s.api.post(
        f"/v1/reservations/{s.reservation}/extend", {"until": "9000-01-01T00:00:00Z"}
    ),
    "no-such-charge": lambda s, _: s.api.get("/v1/charges/chg_0000000000007_1"),
    "no-such-reservation": lambda s, _: s.api.post("/v1/reservations/rsv_x/release", {}),
    "no-such-account": lambda s, _: s.ask(account=NOBODY),
    "account-frozen": lambda s, _: frozen(s),
    "too-many-requests-open": without_a_place,
    "schema-mismatch": lambda s, _: other_release(s),  # the last: nothing can be done after it
}


def files_over_a_socket() -> Iterator[Path]:
    """The files of tests that ask a real API over HTTP, beside this one."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path != Path(__file__) and re.search(r"\blive_api\b", path.read_text(encoding="utf-8")):
            yield path


def test_each_problem_is_provoked_here_or_where_it_takes_more_than_a_request() -> None:
    assert set(HERE) <= set(BY_CODE)
    texts = [path.read_text(encoding="utf-8") for path in files_over_a_socket()]
    never = [
        code
        for code in sorted(set(BY_CODE) - set(HERE))
        if not any(f'"{code}"' in text or f'/problems/{code}"' in text for text in texts)
    ]
    assert not never, "these need a test that provokes them: put it into HERE, or beside their like"


def test_each_problem_comes_as_the_table_says(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, provoke in HERE.items():
        answer = provoke(stage, monkeypatch)
        row = BY_CODE[code]
        if isinstance(answer, bytes):
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % row.status), (code, answer)
            assert b"application/problem+json" in head
            problem = httpx2.Response(200, content=body).json()
        else:
            assert answer.status_code == row.status, (code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
        assert problem["type"] == f"/problems/{code}"
        assert (problem["status"], problem["title"]) == (row.status, row.title)
        assert problem["detail"].endswith(".")
        if row.status == 503:
            assert (
                b"Retry-After: " in answer
                if isinstance(answer, bytes)
                else (int(answer.headers["retry-after"]) > 0)
            )
