"""What the middleware answers in the app's place: RFC 9457 problems."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from creditd_client.asgi import Send
from creditd_client.errors import CreditsUnavailable, Refused
from creditd_client.keys import KEY_LENGTH_MAX

# creditd is back within seconds of a restart; where it knows better, its own wish is passed on.
RETRY_AFTER_SECONDS: Final = 5
# What creditd says to whoever is to pay; what else its answer has was for the app.
PASSED_ON: Final = ("cache-control", "retry-after", "link", "payment-required")
PASSED_ON_PREFIX: Final = "credits-"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is given instead of the app's."""

    status: int
    problem: Mapping[str, object]
    headers: Mapping[str, str]

    async def send(self, send: Send) -> None:
        """Answer the request with it."""
        body = json.dumps(self.problem).encode()
        headers = {
            "cache-control": "no-store",
            **self.headers,
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
        }
        encoded = [
            (name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def passed_on(refused: Refused) -> Refusal:
    """Hand creditd's own problem on to the caller."""
    headers = {
        name: value
        for name, value in refused.headers.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)
    }
    return Refusal(refused.status, refused.problem, headers)


def operation_was_refunded(charge_id: str) -> Refusal:
    """Refuse a key that paid for an operation that failed."""
    return _problem(
        HTTPStatus.CONFLICT,
        "operation-was-refunded",
        "Operation was refunded",
        f"The operation under this Idempotency-Key failed and its credits were given back"
        f" ({charge_id}): send a new key to try it again.",
        charge=charge_id,
    )


def operation_was_charged(charge_id: str) -> Refusal:
    """Refuse a key that paid for an operation which an earlier request began."""
    return _problem(
        HTTPStatus.CONFLICT,
        "operation-was-charged",
        "Operation was charged",
        f"This Idempotency-Key has paid for an earlier request ({charge_id}), which was answered"
        " or is still running, and nothing was taken for this one: send a new key to run and pay"
        " for the operation again.",
        charge=charge_id,
    )


def operation_was_reserved(reservation_id: str) -> Refusal:
    """Refuse a key under which credits were held for an earlier request."""
    return _problem(
        HTTPStatus.CONFLICT,
        "operation-was-reserved",
        "Operation was reserved",
        f"Credits were held under this Idempotency-Key for an earlier request ({reservation_id}),"
        " which was answered, failed or is still running: send a new key to run it again.",
        reservation=reservation_id,
    )


def operation_was_passed() -> Refusal:
    """Refuse a key under which a request has run that is to be charged later."""
    return _problem(
        HTTPStatus.CONFLICT,
        "operation-was-passed",
        "Operation was passed",
        "A request under this Idempotency-Key has run and will be charged later: send a new key to"
        " run it again.",
    )


def key_invalid() -> Refusal:
    """Refuse a key that is none."""
    return _problem(
        HTTPStatus.BAD_REQUEST,
        "idempotency-key-invalid",
        "Invalid Idempotency-Key",
        f"Send 1 to {KEY_LENGTH_MAX} printable ASCII characters, such as a UUID.",
    )


def metering_unavailable(failure: CreditsUnavailable | None = None) -> Refusal:
    """Refuse to run what could not be charged."""
    wish = None if failure is None else failure.retry_after_seconds
    refusal = _problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "metering-unavailable",
        "Metering unavailable",
        "The operation was not run, as its price could not be charged: try again after Retry-After"
        " seconds, with the same Idempotency-Key if you sent one.",
    )
    seconds = RETRY_AFTER_SECONDS if wish is None else wish
    return Refusal(refusal.status, refusal.problem, {"retry-after": str(seconds)})


def _problem(status: HTTPStatus, code: str, title: str, detail: str, **members: str) -> Refusal:
    problem = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status.value,
        "detail": detail,
        **members,
    }
    return Refusal(status.value, problem, {})
