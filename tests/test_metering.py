import asyncio
import logging
from decimal import Decimal

import httpx2
import pytest
from creditd_client import AsyncCredits, LostRefund, Metering, Passed
from creditd_client.asgi import Message, Receive, Scope, Send
from creditd_client.metering import charging
from creditd_client.wire import attempts
from shop import price, shop
from standin import ACCOUNT, API_KEY, Fault, answers, lost_after, lost_before, passes, slow


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", (0.01,) * len(attempts.BACKOFF_SECONDS))


def test_a_request_pays_before_it_runs_and_says_what_it_cost() -> None:
    async def main() -> None:
        async with shop() as s:
            answer = await s.get("/status/200")
            assert (answer.status_code, answer.text) == (200, "the app's own words")
            assert answer.headers["x-app"] == "1"
            assert answer.headers["credits-cost"] == "12"
            assert answer.headers["credits-balance"] == "88"
            assert s.books.available == 88

    asyncio.run(main())


def test_a_402_is_creditds_own_and_the_app_does_not_run() -> None:
    async def main() -> None:
        async with shop(available=3) as s:
            answer = await s.get("/status/200")
            assert answer.status_code == 402
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["retry-after"] == "15"
            assert answer.headers["credits-balance"] == "3"
            assert answer.headers["credits-cost"] == "12"
            assert "x-internal" not in answer.headers
            assert answer.json()["type"] == "/problems/insufficient-credits"
            assert answer.json()["missing"] == "9"
            assert s.app.runs == 0

    asyncio.run(main())


def test_a_402_over_a_budget_is_creditds_own_too() -> None:
    async def main() -> None:
        async with shop() as s:
            s.books.budget_left = Decimal(3)
            answer = await s.get("/status/200")
            assert answer.status_code == 402
            assert answer.json()["type"] == "/problems/over-budget"
            assert (answer.json()["required"], answer.json()["left"]) == ("12", "3")
            assert s.app.runs == 0

    asyncio.run(main())


def test_a_free_route_asks_creditd_nothing() -> None:
    async def main() -> None:
        async with shop() as s:
            answer = await s.get("/free/status/200")
            assert answer.status_code == 200
            assert "credits-cost" not in answer.headers
            assert s.line.requests == []
            assert s.app.runs == 1

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/status/500", "/status/503", "/raises", "/silent"])
def test_a_failure_of_the_app_is_given_back_before_it_is_answered(path: str) -> None:
    async def main() -> None:
        async with shop() as s:
            answer = await s.get(path)
            assert answer.status_code >= 500
            assert s.given_back()
            if path.startswith("/status"):
                assert answer.headers["credits-cost"] == "0"
                assert answer.headers["credits-balance"] == "100"
            assert s.lost == []

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/status/404", "/answers-then-raises"])
def test_what_was_answered_is_paid(path: str) -> None:
    async def main() -> None:
        async with shop() as s:
            assert (await s.get(path)).status_code < 500
        assert s.books.charges
        assert s.books.refunds == {}

    asyncio.run(main())


def test_an_answer_that_the_app_breaks_off_is_given_back() -> None:
    async def main() -> None:
        async with shop() as s:
            with pytest.raises(httpx2.RemoteProtocolError):
                await s.get("/breaks-off")
            assert s.given_back()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "pays", "given_back"),
    [
        ("/waits", "answered", False),
        ("/waits", "begun", False),
        ("/waits", "received", True),
        ("/notices", "answered", True),
        ("/notices", "begun", False),
        ("/notices", "received", True),
    ],
)
def test_what_a_caller_pays_who_hangs_up_before_the_answer_is_the_apps_choice(
    path: str, pays: str, *, given_back: bool
) -> None:
    async def main() -> None:
        async with shop() as s:
            await s.web.call_and_hang_up(f"{path}?{pays}", s.app.began)
            assert s.books.charges
            s.app.go_on.set()
        assert s.given_back() == given_back

    asyncio.run(main())


def test_a_caller_who_hangs_up_within_the_answer_has_paid_for_it() -> None:
    async def main() -> None:
        async with shop() as s:
            await s.web.call_and_hang_up("/streams", s.app.began)
            s.app.go_on.set()
        assert s.books.charges
        assert s.books.refunds == {}

    asyncio.run(main())


def test_a_body_reaches_the_app_whole() -> None:
    async def main() -> None:
        body = bytes(range(256)) * 4_000
        async with shop() as s:
            assert (await s.http.post("/echo", content=body)).content == body
            assert (await s.http.post("/echo", content=b"")).content == b""

    asyncio.run(main())


def test_where_creditd_does_not_answer_nothing_runs() -> None:
    async def main() -> None:
        faults = [lost_before] * 2 * attempts.ATTEMPTS_MAX
        async with shop(*faults) as s:
            answer = await s.get("/status/200")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["type"] == "/problems/metering-unavailable"
            assert s.app.runs == 0

    asyncio.run(main())


def test_the_wait_that_creditd_wants_is_passed_on() -> None:
    async def main() -> None:
        async with shop(answers(503, retry_after="30")) as s:
            assert (await s.get("/status/200")).headers["retry-after"] == "30"

    asyncio.run(main())


@pytest.mark.parametrize("fault", [answers(401), answers(403), answers(404), answers(400)])
def test_what_the_app_has_set_up_wrongly_is_not_blamed_on_the_caller(fault: Fault) -> None:
    async def main() -> None:
        async with shop(fault) as s:
            assert (await s.get("/status/200")).status_code == 503
            assert (await s.get("/status/200?unpriced")).status_code == 503
            assert s.app.runs == 0

    asyncio.run(main())


def test_a_key_that_paid_is_not_charged_again_and_does_not_run_again() -> None:
    async def main() -> None:
        async with shop() as s:
            assert (await s.get("/status/200", key="k")).status_code == 200
            again = await s.get("/status/200", key="k")
            assert again.status_code == 409
            assert again.json()["type"] == "/problems/operation-was-charged"
            assert again.json()["charge"] == "chg_0"
            assert s.app.runs == 1
            assert s.books.available == 88

    asyncio.run(main())


def test_a_key_whose_operation_failed_does_not_run_for_nothing() -> None:
    async def main() -> None:
        async with shop() as s:
            assert (await s.get("/status/500", key="k")).status_code == 500
            again = await s.get("/status/200?repeatable", key="k")
            assert again.status_code == 409
            assert again.json()["type"] == "/problems/operation-was-refunded"
            assert s.app.runs == 1
            assert s.books.available == 100
            assert (await s.get("/status/200", key="new")).status_code == 200

    asyncio.run(main())


def test_a_repeatable_request_runs_again_under_its_charge_which_it_cannot_undo() -> None:
    async def main() -> None:
        async with shop() as s:
            assert (await s.get("/status/200?repeatable", key="k")).status_code == 200
            again = await s.get("/status/500?repeatable", key="k")
            assert (again.status_code, again.headers["credits-cost"]) == (500, "12")
            assert s.app.runs == 2
            assert s.books.available == 88
            assert s.books.refunds == {}

    asyncio.run(main())


def test_a_key_of_another_request_is_the_callers_mistake() -> None:
    async def main() -> None:
        async with shop() as s:
            await s.get("/status/200", key="k")
            other = await s.get("/status/200?costs-nothing", key="k")
            assert other.status_code == 422
            assert other.json()["type"] == "/problems/idempotency-key-reused"
            malformed = await s.http.get("/status/200", headers={b"Idempotency-Key": b"\xff"})
            assert malformed.status_code == 400
            assert s.app.runs == 1

    asyncio.run(main())


def test_a_request_runs_although_the_answer_to_its_charge_was_lost() -> None:
    async def main() -> None:
        async with shop(lost_after) as s:
            assert (await s.get("/status/200", key=None)).status_code == 200
            assert s.app.runs == 1
            assert s.books.available == 88

    asyncio.run(main())


def test_requests_under_one_key_whose_answers_are_lost_buy_no_more_than_one_run() -> None:
    async def main() -> None:
        async with shop(*[lost_after] * 5) as s:
            answers = await asyncio.gather(*[s.get("/status/200", key="k") for _ in range(5)])
            assert {answer.status_code for answer in answers} <= {200, 409}
            assert s.app.runs <= 1
            assert s.books.available == 88
            assert s.lost

    asyncio.run(main())


def test_a_lost_answer_does_not_let_an_old_key_run_again() -> None:
    async def main() -> None:
        async with shop() as s:
            await s.get("/status/200", key="k")
            s.books.charges['"k"']["at"] = "2026-01-01T00:00:00Z"
            s.line.faults.append(lost_after)
            assert (await s.get("/status/200", key="k")).status_code == 409
            assert s.app.runs == 1

    asyncio.run(main())


def test_a_failure_is_given_back_once() -> None:
    async def main() -> None:
        async with shop() as s:
            with pytest.raises(httpx2.RemoteProtocolError):
                await s.get("/fails-then-raises")
        assert s.line.requests == ["POST /v1/charges", "POST /v1/charges/chg_0/refund"]
        assert s.given_back()

    asyncio.run(main())


def test_an_operation_that_costs_nothing_is_not_repeated_either() -> None:
    async def main() -> None:
        async with shop() as s:
            await s.get("/status/200?costs-nothing", key="k")
            again = await s.get("/status/200?costs-nothing", key="k")
            assert again.json()["type"] == "/problems/operation-was-charged"

    asyncio.run(main())


def test_an_operation_without_a_price_to_give_back_is_not_refunded() -> None:
    async def main() -> None:
        async with shop() as s:
            assert (await s.get("/status/500?costs-nothing")).status_code == 500
            assert s.line.requests == ["POST /v1/charges"]

    asyncio.run(main())


def test_a_refund_that_cannot_be_made_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with shop(passes, *[lost_before] * attempts.ATTEMPTS_MAX) as s:
            answer = await s.get("/status/500", key="k")
            assert (answer.status_code, answer.headers["credits-cost"]) == (500, "12")
            (lost,) = s.lost
            assert (lost.charge_id, lost.cost, lost.key) == ("chg_0", Decimal(12), "k")

    asyncio.run(main())
    (record,) = [record for record in caplog.records if record.name == "creditd_client"]
    assert record.levelno == logging.ERROR
    assert "chg_0" in record.message


def test_a_refund_is_given_up_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charging, "ENDING_SECONDS_MAX", 0.05)

    async def main() -> None:
        async with shop(passes, slow(0.5)) as s:
            assert (await s.get("/status/500")).status_code == 500
            assert [lost.charge_id for lost in s.lost] == ["chg_0"]

    asyncio.run(main())


def test_a_charge_that_may_have_been_taken_for_nothing_is_reported() -> None:
    async def main() -> None:
        async with shop(*[lost_after] * attempts.ATTEMPTS_MAX) as s:
            assert (await s.get("/status/200", key="k")).status_code == 503
            (lost,) = s.lost
            assert (lost.charge_id, lost.account, lost.key) == (None, ACCOUNT, "k")
            assert s.app.runs == 0

    asyncio.run(main())


def test_a_charge_that_was_never_taken_is_not_reported() -> None:
    async def main() -> None:
        async with shop(answers(429, retry_after="60")) as s:
            assert (await s.get("/status/200")).status_code == 503
            assert s.lost == []

    asyncio.run(main())


def test_a_callback_that_fails_does_not_take_the_answers_place() -> None:
    def fail(_lost: LostRefund) -> None:
        raise LookupError("the queue is full")

    async def main() -> None:
        faults = [passes, *[lost_before] * attempts.ATTEMPTS_MAX]
        async with shop(*faults, on_lost_refund=fail) as s:
            answer = await s.get("/status/500")
            assert (answer.status_code, answer.text) == (500, "the app's own words")

    asyncio.run(main())


def test_who_asks_too_often_is_not_let_pass() -> None:
    recorded: list[Passed] = []

    async def main() -> None:
        async with shop(answers(429, retry_after="60"), passed=recorded.append) as s:
            assert (await s.get("/status/200")).status_code == 503
            assert (s.app.runs, recorded) == (0, [])

    asyncio.run(main())


def test_what_is_not_http_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def nothing() -> Message:
        raise AssertionError

    async def nowhere(_message: Message) -> None:
        raise AssertionError

    async def main() -> None:
        async with AsyncCredits("http://127.0.0.1:1", API_KEY) as purse:
            await Metering(app, credits=purse, price=price)({"type": "lifespan"}, nothing, nowhere)

    asyncio.run(main())
    assert seen == ["lifespan"]
