"""Organisations over HTTP: who is a member, what the pool pays for each, and what is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import run
from live_api import LiveApi, available, code_of, fill

NOBODY = "acct_0000000000007"


def organisation(api: LiveApi, name: str = "works") -> str:
    return str(api.post("/v1/organisations", {"name": name}).json()["id"])


def member(api: LiveApi, pool: str, name: str = "anna") -> str:
    return str(api.post(f"/v1/organisations/{pool}/members", {"name": name}).json()["id"])


def path_of(pool: str, who: str) -> str:
    return f"/v1/organisations/{pool}/members/{who}"


def pages(api: LiveApi, path: str, limit: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, limit=str(limit), **cursor).json()
        assert len(page["data"]) <= limit
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_an_organisation_is_opened_once_and_found_by_its_name(api: LiveApi) -> None:
    first = api.request("POST", "/v1/organisations", json={"name": "works"})
    again = api.request("POST", "/v1/organisations", json={"name": "works"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert api.get(first.headers["location"]).json() == first.json()
    assert first.json()["name"] == "works"


def test_a_name_stands_for_one_account(api: LiveApi) -> None:
    api.post("/v1/accounts", {"name": "alice"})
    taken = api.post("/v1/organisations", {"name": "alice"})
    assert (taken.status_code, code_of(taken)) == (409, "name-taken")


def test_lists_go_by_name_page_after_page(api: LiveApi) -> None:
    names = [*(f"user {number}" for number in range(5)), "Ärzte", "z" * 200]
    for name in names:
        api.post("/v1/accounts", {"name": name})
    for name in ("works", "labs", "o" * 200):
        organisation(api, name)
    api.post("/v1/accounts", {"name": "not mine"}, api_key=api.api_key(app="stranger"))
    for limit in (1, 3, 200):
        told = pages(api, "/v1/accounts", limit)
        assert sorted(str(row["name"]) for row in told) == sorted(
            [*names, "works", "labs", "o" * 200]
        )
        kinds = {str(row["name"]): row["kind"] for row in told}
        assert (kinds["works"], kinds["Ärzte"]) == ("organisation", "user")
        of_app = pages(api, "/v1/organisations", limit)
        assert sorted(str(row["name"]) for row in of_app) == ["labs", "o" * 200, "works"]


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/organisations"])
def test_a_cursor_of_another_list_is_refused(api: LiveApi, path: str) -> None:
    for number in range(2):
        organisation(api, f"works {number}")
    for cursor in ("x", "!", api.get(path, limit="1").json()["next_cursor"] + "x"):
        other = "/v1/organisations" if path == "/v1/accounts" else "/v1/accounts"
        response = api.get(other, cursor=cursor)
        assert (response.status_code, code_of(response)) == (400, "invalid-request")


def test_a_member_joins_once_and_is_listed_with_those_that_left(api: LiveApi) -> None:
    pool = organisation(api)
    members = f"/v1/organisations/{pool}/members"
    first = api.request("POST", members, json={"name": "anna"})
    again = api.request("POST", members, json={"name": "anna"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    anna, ben = first.json()["id"], member(api, pool, "ben")
    left = api.delete(path_of(pool, ben))
    assert left.json()["status"] == "closed"
    assert left.json()["left_at"] is not None
    for limit in (1, 2):
        told = {str(row["id"]): row["status"] for row in pages(api, members, limit)}
        assert told == {anna: "open", ben: "closed"}
    assert api.get(path_of(pool, anna)).json() == first.json()
    assert api.delete(path_of(pool, ben)).headers["idempotent-replayed"] == "true"


def test_the_pool_pays_for_a_member_within_its_budgets(api: LiveApi) -> None:
    pool = organisation(api)
    anna = member(api, pool)
    fill(api, pool, 100)
    budgets = f"{path_of(pool, anna)}/budgets"
    assert api.charge(anna, "report.render", 2).status_code == 402
    set_ = api.put(f"{budgets}/month", {"amount": "20", "alert_levels": [50, 100]})
    assert set_.status_code == 200
    api.put(f"{budgets}/ever", {"amount": "10"})
    assert api.charge(anna, "report.render", 2).status_code == 201
    refused = api.charge(anna, "report.render", 2)
    assert (refused.status_code, code_of(refused)) == (402, "over-budget")
    told = {row["period"]: row for row in api.get(budgets).json()["data"]}
    assert {key: told["month"][key] for key in ("amount", "used", "left", "alert_levels")} == {
        "amount": "20",
        "used": "9",
        "left": "11",
        "alert_levels": [50, 100],
    }
    assert (told["ever"]["begins"], told["ever"]["left"]) == (None, "1")
    left = api.delete(f"{budgets}/ever").json()["data"]
    assert [row["period"] for row in left] == ["month"]
    assert api.charge(anna, "report.render", 2).status_code == 201
    assert available(api, pool) == "82"
    year = api.put(f"{budgets}/year", {"amount": "20"})
    assert (year.status_code, code_of(year)) == (404, "not-found")
    for body in ({"amount": "x"}, {"amount": "1", "alert_levels": [101]}, {}):
        assert api.put(f"{budgets}/day", body).status_code == 400


def test_credits_move_between_pool_and_member_once_per_key(api: LiveApi) -> None:
    pool = organisation(api)
    anna = member(api, pool)
    fill(api, pool, 10)
    give, back = (f"{path_of(pool, anna)}/{how}" for how in ("allocations", "take-backs"))
    missing = api.request("POST", give, json={"amount": "4"})
    assert (missing.status_code, code_of(missing)) == (400, "idempotency-key-missing")
    answers = [api.post(give, {"amount": "4"}, key="a") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    told = answers[0].json()
    assert (told["account"], told["to"], told["available"]) == (pool, anna, "6")
    reused = api.post(give, {"amount": "5"}, key="a")
    assert (reused.status_code, code_of(reused)) == (422, "idempotency-key-reused")
    too_much = api.post(give, {"amount": "7"}, key="b")
    assert (too_much.status_code, code_of(too_much)) == (409, "nothing-to-move")
    assert (too_much.json()["required"], too_much.json()["available"]) == ("7", "6")
    assert api.post(give, {"amount": "6"}, key="b").status_code == 201
    assert api.post(back, {"amount": "3"}).json()["account"] == anna
    assert (available(api, pool), available(api, anna)) == ("3", "7")
    nothing = api.post(give, {"amount": "0"})
    assert (nothing.status_code, code_of(nothing)) == (422, "beyond-range")


def test_one_key_moves_credits_once_however_many_ask_at_the_same_time(api: LiveApi) -> None:
    pool = organisation(api)
    anna = member(api, pool)
    fill(api, pool, 10)
    give = f"{path_of(pool, anna)}/allocations"
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(api.post, give, {"amount": "3"}, key="one") for _ in range(8)]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert (available(api, pool), available(api, anna)) == ("7", "3")


def test_a_member_moves_under_its_name_and_leaves_what_it_has(api: LiveApi) -> None:
    works, labs = organisation(api), organisation(api, "labs")
    anna, ben = member(api, works), member(api, works, "ben")
    fill(api, works, 10)
    api.post(f"{path_of(works, anna)}/allocations", {"amount": "4"})
    moved = api.post(f"{path_of(works, anna)}/move", {"to": labs})
    assert moved.status_code == 201
    assert (moved.json()["organisation"], moved.json()["name"]) == (labs, "anna")
    again = api.post(f"{path_of(works, anna)}/move", {"to": labs})
    assert (again.status_code, again.json()) == (200, moved.json())
    assert api.get(path_of(works, anna)).json()["moved_to"] == moved.json()["id"]
    assert available(api, works) == "10"
    elsewhere = api.post(f"{path_of(works, anna)}/move", {"to": organisation(api, "third")})
    assert (elsewhere.status_code, code_of(elsewhere)) == (409, "member-left")
    member(api, labs, "ben")
    taken = api.post(f"{path_of(works, ben)}/move", {"to": labs})
    assert (taken.status_code, code_of(taken)) == (409, "name-taken")
    assert api.post(f"{path_of(works, ben)}/move", {"to": "x"}).status_code == 400
    assert api.post(f"{path_of(works, ben)}/move", {"to": NOBODY}).status_code == 404
    gone = api.post(f"{path_of(works, anna)}/allocations", {"amount": "1"})
    assert (gone.status_code, code_of(gone)) == (409, "member-left")


def test_another_app_sees_and_does_nothing(api: LiveApi) -> None:
    pool, other = organisation(api), organisation(api, "labs")
    anna = member(api, pool)
    stranger = api.api_key(app="stranger")
    theirs = str(api.post("/v1/organisations", {"name": "works"}, api_key=stranger).json()["id"])
    asked = [
        ("GET", f"/v1/organisations/{pool}", None),
        ("GET", f"/v1/organisations/{pool}/members", None),
        ("POST", f"/v1/organisations/{pool}/members", {"name": "eve"}),
        ("GET", path_of(pool, anna), None),
        ("DELETE", path_of(pool, anna), None),
        ("POST", f"{path_of(pool, anna)}/move", {"to": theirs}),
        ("GET", f"{path_of(pool, anna)}/budgets", None),
        ("PUT", f"{path_of(pool, anna)}/budgets/day", {"amount": "1"}),
        ("DELETE", f"{path_of(pool, anna)}/budgets/day", None),
        ("POST", f"{path_of(pool, anna)}/allocations", {"amount": "1"}),
        ("POST", f"{path_of(pool, anna)}/take-backs", {"amount": "1"}),
        ("PUT", f"/v1/accounts/{anna}/alert", {"below": "1"}),
        # By an organisation of its own it comes no nearer.
        ("GET", path_of(theirs, anna), None),
        ("DELETE", path_of(theirs, anna), None),
        ("GET", f"{path_of(theirs, anna)}/budgets", None),
        ("PUT", f"{path_of(theirs, anna)}/budgets/day", {"amount": "1"}),
        ("POST", f"{path_of(theirs, anna)}/allocations", {"amount": "1"}),
    ]
    for method, path, body in asked:
        headers = {"Idempotency-Key": "k"}
        answer = api.request(method, path, json=body, headers=headers, api_key=stranger)
        assert (answer.status_code, code_of(answer)) == (404, "no-such-account"), (method, path)
    # Nor does whose they are, by the wrong path.
    for who in (pool, anna.replace("acct_", "chg_"), "x"):
        assert api.get(path_of(pool, who)).status_code == 404
    assert api.get(path_of(other, anna)).status_code == 404
    assert api.get(f"{path_of(other, anna)}/budgets").status_code == 404
    assert api.get(path_of(pool, anna)).json()["status"] == "open"


def test_a_cursor_of_another_organisation_is_refused(api: LiveApi) -> None:
    pool, other = organisation(api), organisation(api, "labs")
    for name in ("anna", "ben"):
        member(api, pool, name)
    cursor = api.get(f"/v1/organisations/{pool}/members", limit="1").json()["next_cursor"]
    response = api.get(f"/v1/organisations/{other}/members", cursor=cursor)
    assert (response.status_code, code_of(response)) == (400, "invalid-request")


def test_a_frozen_member_neither_leaves_nor_moves(api: LiveApi) -> None:
    pool, other = organisation(api), organisation(api, "labs")
    anna = member(api, pool)
    run(api.database_url, "update creditd.account set status = 'frozen' where kind = 'member'")
    for answer in (
        api.delete(path_of(pool, anna)),
        api.post(f"{path_of(pool, anna)}/move", {"to": other}),
        api.post(f"{path_of(pool, anna)}/take-backs", {"amount": "1"}),
    ):
        assert (answer.status_code, code_of(answer)) == (403, "account-frozen")


def test_an_alert_is_set_and_ended(api: LiveApi) -> None:
    account = str(api.post("/v1/accounts", {"name": "alice"}).json()["id"])
    path = f"/v1/accounts/{account}/alert"
    assert api.put(path, {"below": "2.5"}).json() == {"account": account, "below": "2.5"}
    assert api.put(path, {"below": None}).json()["below"] is None
    for body in ({"below": "0"}, {"below": "-1"}, {}):
        assert api.put(path, body).status_code == 400
    assert api.put(f"/v1/accounts/{NOBODY}/alert", {"below": "1"}).status_code == 404
