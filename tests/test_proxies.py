"""Caddy and nginx before an app, by the recipes that deploy/proxies holds, for real."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
import pytest
import yaml
from command_line import free_port
from conftest import earn, run
from live_api import CREDIT, LiveApi, live_api
from proxies import PASSWORDS, PROXIES, RECIPES, Upstream

from api.metering.wire import ForwardAuthQuery
from ledger.ids import parse_movement

ALICE = bytes.fromhex("11" * 20)
BOB = bytes.fromhex("22" * 20)


@dataclass
class Scene:
    """A proxy, the app behind it, the API beside it, and two who call."""

    api: LiveApi
    upstream: Upstream
    url: str
    accounts: dict[str, str]

    def call(
        self,
        path: str,
        *,
        caller: str | None = "alice",
        password: str | None = None,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        sent = dict(headers or {})
        if caller is not None:
            word = password or PASSWORDS[caller][0]
            credentials = base64.b64encode(f"{caller}:{word}".encode()).decode()
            sent["Authorization"] = f"Basic {credentials}"
        return httpx2.request(method, self.url + path, headers=sent, content=content, timeout=20)

    def available(self, who: str) -> str:
        return str(self.api.get(f"/v1/accounts/{self.accounts[who]}/balance").json()["available"])


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.proxy(name)) for name in PROXIES])
def scene(request: pytest.FixtureRequest, database_url: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        api = stack.enter_context(live_api(database_url))
        upstream = stack.enter_context(Upstream().serving())
        for wallet in (ALICE, BOB):
            earn(database_url, wallet, 20 * CREDIT)
        accounts = {"alice": api.open_wallet(ALICE), "bob": api.open_wallet(BOB)}
        words = {
            "CREDITD": urlsplit(api.url).netloc,
            "CREDITD_API_KEY": api.api_key(["charge:write"]),
            "APP": upstream.url,
            "ALICE_ACCOUNT": accounts["alice"],
            "BOB_ACCOUNT": accounts["bob"],
        }
        url = stack.enter_context(PROXIES[request.param](words))
        yield Scene(api, upstream, url, accounts)


def problem_of(response: httpx2.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = response.json()
    return problem


def test_a_call_that_is_paid_for_reaches_the_app_and_says_by_what(scene: Scene) -> None:
    answer = scene.call("/reports/7?page=2", method="POST", content=b"body")
    assert (answer.status_code, answer.content) == (200, b"app")
    ((method, path, headers, body),) = scene.upstream.calls
    assert (method, path, body) == ("POST", "/reports/7?page=2", b"body")
    told = {name: value for name, value in headers.items() if name.startswith("credits-")}
    charge = scene.api.get(f"/v1/charges/{told['credits-charge']}").json()
    assert told == {
        "credits-account": scene.accounts["alice"],
        "credits-balance": "13",
        "credits-cost": "7",
        "credits-version": str(parse_movement("chg", charge["id"]).seq),
        "credits-charge": charge["id"],
    }
    assert charge["account"] == scene.accounts["alice"]
    assert charge["refunded"] == "0"


def test_each_call_is_paid_for_by_whoever_sends_it(scene: Scene) -> None:
    for caller in ("alice", "bob", "alice"):
        assert scene.call("/reports/7", caller=caller).status_code == 200
    assert (scene.available("alice"), scene.available("bob")) == ("6", "13")


def test_what_is_not_covered_is_answered_402_with_the_true_problem(scene: Scene) -> None:
    for expected in (200, 200, 402):
        answer = scene.call("/reports/7")
        assert answer.status_code == expected
    problem = problem_of(answer)
    assert problem["type"] == "/problems/insufficient-credits"
    assert (problem["status"], problem["missing"]) == (402, "1")
    assert "WWW-Authenticate" not in answer.headers
    assert len(scene.upstream.calls) == 2
    assert scene.available("alice") == "6"
    # The balance of one is nothing to another.
    assert scene.call("/reports/7", caller="bob").status_code == 200


def test_what_a_caller_sends_under_our_names_has_no_effect(scene: Scene) -> None:
    forged = {
        "Credits-Account": scene.accounts["bob"],
        "Credits-Charge": "chg_forged",
        "Credits-Reservation": "rsv_forged",
        "Credits-Cost": "0",
        "Credits-Version": "0",
        "Credits-Status": "200",
        "Idempotency-Key": "mine",
        "X-Request-Id": "mine",
    }
    for _ in range(2):
        answer = scene.call("/reports/7?mode=reserve&units=9&deny_status=402", headers=forged)
        assert answer.status_code == 200
    assert (scene.available("alice"), scene.available("bob")) == ("6", "20")
    names = set()
    for _, _, headers, _ in scene.upstream.calls:
        assert headers["credits-account"] == scene.accounts["alice"]
        charge = scene.api.get(f"/v1/charges/{headers['credits-charge']}").json()
        assert charge["account"] == scene.accounts["alice"]
        assert headers["credits-cost"] == "7"
        names.add(headers["x-request-id"])
        assert not {"idempotency-key", "credits-reservation", "authorization"} & set(headers)
    assert len(names) == 2
    assert "mine" not in names


@pytest.mark.parametrize("path", ["/reports/7", "/chat/1"])
def test_a_caller_takes_away_nothing_that_the_app_is_told(scene: Scene, path: str) -> None:
    """Proxies drop the headers that `Connection` names: who is told of none settles none."""
    names = ("Credits-Account", "Credits-Charge", "Credits-Reservation", "Credits-Cost")
    for named in (*names, "X-Request-Id", ", ".join(names)):
        answer = scene.call(path, headers={"Connection": f"keep-alive, {named.lower()}"})
        assert answer.status_code in {200, 400, 402}
    paid_by = "credits-charge" if path == "/reports/7" else "credits-reservation"
    for _, _, headers, _ in scene.upstream.calls:
        assert {"credits-account", "credits-cost", "x-request-id", paid_by} <= set(headers)


def test_an_app_that_takes_other_signs_for_dashes_is_told_nothing_forged(scene: Scene) -> None:
    forged = {"Credits_Account": scene.accounts["bob"], "credits.charge": "chg_forged"}
    assert scene.call("/reports/7", headers=forged).status_code == 200
    ((_, _, headers, _),) = scene.upstream.calls
    assert not [name for name in headers if "_" in name or "." in name]


def test_who_is_not_let_in_pays_nothing(scene: Scene) -> None:
    assert scene.call("/reports/7", caller=None).status_code == 401
    assert scene.call("/reports/7", password=PASSWORDS["bob"][0]).status_code == 401
    assert scene.available("alice") == "20"
    assert scene.upstream.calls == []


def test_a_true_403_stays_one(scene: Scene) -> None:
    of_the_app = scene.call("/reports/forbidden")
    assert (of_the_app.status_code, of_the_app.content) == (403, b"app")
    run(scene.api.database_url, "update creditd.account set status = 'frozen'")
    frozen = scene.call("/reports/7")
    assert frozen.status_code == 403
    assert frozen.json()["type"] == "/problems/account-frozen"
    assert len(scene.upstream.calls) == 1


def test_an_api_key_that_may_not_charge_lets_nobody_through(scene: Scene) -> None:
    run(scene.api.database_url, "update creditd.api_key set scopes = '{balance:read}'")
    assert scene.call("/reports/7").status_code == 403
    assert scene.upstream.calls == []


def test_a_reservation_is_settled_by_the_app(scene: Scene) -> None:
    settled = []

    def settle(name: str) -> None:
        body = {"amount": "0.5"}
        settled.append(scene.api.post(f"/v1/reservations/{name}/settle", body).status_code)

    scene.upstream.settle = settle
    assert scene.call("/chat/1", method="POST", content=b"hello").status_code == 200
    assert settled == [200]
    assert scene.available("alice") == "19.5"
    assert "credits-charge" not in scene.upstream.calls[0][2]


def test_where_creditd_fails_no_call_gets_through(scene: Scene) -> None:
    run(scene.api.database_url, "alter table creditd.entry rename to elsewhere")
    answer = scene.call("/reports/7")
    assert answer.status_code in {500, 503}
    run(scene.api.database_url, "alter table creditd.elsewhere rename to entry")
    assert scene.upstream.calls == []
    assert scene.call("/reports/7").status_code == 200


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("caddy", 502, marks=pytest.mark.proxy("caddy")),
        pytest.param("nginx", 503, marks=pytest.mark.proxy("nginx")),
    ],
)
def test_where_creditd_is_gone_no_call_gets_through(name: str, status: int) -> None:
    words = {
        "CREDITD": f"127.0.0.1:{free_port()}",
        "CREDITD_API_KEY": "ck_none",
        "ALICE_ACCOUNT": "acct_a",
        "BOB_ACCOUNT": "acct_b",
    }
    with Upstream().serving() as upstream, PROXIES[name]({**words, "APP": upstream.url}) as url:
        answer = httpx2.get(url + "/reports/7", auth=("alice", PASSWORDS["alice"][0]))
        assert answer.status_code == status
        if status == 503:
            assert problem_of(answer)["status"] == 503
            assert int(answer.headers["retry-after"]) > 0
        assert upstream.calls == []


def test_every_recipe_asks_in_words_that_the_api_knows() -> None:
    traefik = yaml.safe_load((RECIPES / "traefik.yml").read_text(encoding="utf-8"))
    envoy = (RECIPES / "envoy.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(envoy)["static_resources"]["listeners"]
    asked = [traefik["http"]["middlewares"]["authorize"]["forwardAuth"]["address"]]
    for name in ("envoy.yml", "Caddyfile", "nginx.conf"):
        text = (RECIPES / name).read_text(encoding="utf-8")
        parts = text.replace('"', " ").replace(";", " ").split()
        asked += [part for part in parts if "?mode=" in part]
    assert len(asked) == 6
    for url in asked:
        words = dict(parse_qsl(urlsplit(url).query))
        query = msgspec.convert(words, ForwardAuthQuery, strict=False)
        assert query.deny_status == (403 if "deny_status" in url else 402)
