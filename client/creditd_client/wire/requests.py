"""Every request that creditd is sent, and how its answer is read. No connection is needed here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Generic, TypeVar
from urllib.parse import quote as escaped

from creditd_client.answers import (
    Balance,
    Charged,
    ChargeRecord,
    Ended,
    Quote,
    Refunded,
    Reservation,
)
from creditd_client.keys import KEY_LENGTH_MAX, is_key, new_key, quote_key
from creditd_client.wire.reading import Answer

# How far this host's clock and creditd's may differ: kept clocks agree within a second.
CLOCKS_APART_MAX: Final = timedelta(seconds=5)

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Request(Generic[Meaning]):
    """A request, sent under one key however often; `read` says what its answer means.

    `key` is None where nothing is written. `ends` says that it ends what has begun (a refund, a
    settlement), which is worth a longer wait than a beginning is.
    """

    method: str
    path: str
    key: str | None
    content: bytes | None
    read: Callable[[Answer], Meaning]
    ends: bool = False

    def headers(self) -> dict[str, str]:
        """Return the headers that this request has beside those of all."""
        headers = {} if self.content is None else {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Idempotency-Key"] = quote_key(self.key)
        return headers


def charge(
    account: str,
    operation: str,
    units: int,
    *,
    key: str | None,
    model: str | None,
    price_version: int | None,
) -> Request[Charged]:
    """Take the price of units of an operation."""
    body = {
        "account": account,
        "operation": operation,
        "units": units,
        "model": model,
        "price_version": price_version,
    }
    began = datetime.now(UTC)

    def read(answer: Answer) -> Charged:
        at = answer.time("at")
        made_since = at >= began - CLOCKS_APART_MAX
        return Charged(
            id=answer.text("id"),
            cost=answer.credits("cost"),
            available=answer.credits("available"),
            at=at,
            replayed=answer.replayed,
            ours=not answer.replayed or (answer.retried and made_since),
        )

    return _post("/v1/charges", body, key, read)


def refund(charge_id: str, *, key: str | None, amount: Decimal | None) -> Request[Refunded]:
    """Give back an amount of a charge, or all that is left of it."""
    body = {"amount": _in_full(amount)}
    return _post(f"/v1/charges/{_name(charge_id)}/refund", body, key, _refunded, ends=True)


def find_charge(charge_id: str) -> Request[ChargeRecord]:
    """Look a charge up."""
    return _get(f"/v1/charges/{_name(charge_id)}", _charge_record)


def quote(account: str, operation: str, units: int, *, model: str | None) -> Request[Quote]:
    """Ask what units of an operation cost an account."""
    body = {"account": account, "operation": operation, "units": units, "model": model}
    return _post("/v1/quotes", body, None, _quote)


def reserve(
    account: str,
    operation: str,
    units: int,
    *,
    expires_in: int,
    minimum: Decimal,
    over_max: Decimal,
    key: str | None,
    model: str | None,
    price_version: int | None,
) -> Request[Reservation]:
    """Hold the price of units of an operation."""
    body = {
        "account": account,
        "operation": operation,
        "units": units,
        "model": model,
        "expires_in": expires_in,
        "minimum": _in_full(minimum),
        "over_max": _in_full(over_max),
        "price_version": price_version,
    }
    return _post("/v1/reservations", body, key, _reservation)


def settle(reservation_id: str, amount: Decimal, *, key: str | None) -> Request[Ended]:
    """Take an amount of what is held and give back the rest."""
    path = f"/v1/reservations/{_name(reservation_id)}/settle"
    return _post(path, {"amount": _in_full(amount)}, key, _ended, ends=True)


def release(reservation_id: str, *, key: str | None) -> Request[Ended]:
    """Give back all that is held."""
    return _post(f"/v1/reservations/{_name(reservation_id)}/release", {}, key, _ended, ends=True)


def extend(reservation_id: str, until: datetime, *, key: str | None) -> Request[datetime]:
    """Let a reservation last until a moment."""
    if until.tzinfo is None:
        raise ValueError(f"until is {until}, a time without a zone: give datetime.now(UTC) + …")
    path = f"/v1/reservations/{_name(reservation_id)}/extend"
    body = {"until": until.astimezone(UTC).isoformat()}
    return _post(path, body, key, lambda answer: answer.time("expires_at"))


def balance(account: str) -> Request[Balance]:
    """Look up what an account can spend."""
    return _get(f"/v1/accounts/{_name(account)}/balance", _balance)


def open_account(name: str, *, key: str | None) -> Request[str]:
    """Open the app's account of a name, or find it."""
    return _post("/v1/accounts", {"name": name}, key, lambda answer: answer.text("id"))


def open_wallet_account(chain_id: int, address: str, *, key: str | None) -> Request[str]:
    """Open a wallet's account, or find it."""
    body = {"wallet": {"chain_id": chain_id, "address": address}}
    return _post("/v1/accounts", body, key, lambda answer: answer.text("id"))


def sound(key: str | None) -> str:
    """Return a key that can be sent, a new one for None. Raises ValueError."""
    if key is None:
        return new_key()
    if not is_key(key):
        raise ValueError(
            f"{key[:40]!r} is no idempotency key: those are 1 to {KEY_LENGTH_MAX} printable ASCII"
            " characters"
        )
    return key


def _post(
    path: str,
    body: Mapping[str, object],
    key: str | None,
    read: Callable[[Answer], Meaning],
    *,
    ends: bool = False,
) -> Request[Meaning]:
    # What is not asked for is left out: a creditd that does not know it yet takes the rest.
    asked = {name: value for name, value in body.items() if value is not None}
    return Request("POST", path, sound(key), json.dumps(asked).encode(), read, ends)


def _get(path: str, read: Callable[[Answer], Meaning]) -> Request[Meaning]:
    return Request("GET", path, None, None, read)


def _name(text: str) -> str:
    """Return a name as one part of a path, whatever is in it."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} is no name: take the `id` that creditd answered")
    return escaped(text, safe="")


def _in_full(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _refunded(answer: Answer) -> Refunded:
    return Refunded(
        id=answer.text("id"),
        charge=answer.text("charge"),
        amount=answer.credits("amount"),
        repaid=answer.credits("repaid"),
        available=answer.credits("available"),
        replayed=answer.replayed,
    )


def _charge_record(answer: Answer) -> ChargeRecord:
    return ChargeRecord(
        id=answer.text("id"),
        account=answer.text("account"),
        operation=answer.text("operation"),
        units=answer.number("units"),
        cost=answer.credits("cost"),
        refunded=answer.credits("refunded"),
    )


def _quote(answer: Answer) -> Quote:
    return Quote(
        price_version=answer.number("price_version"),
        cost=answer.credits("cost"),
        available=answer.credits("available"),
        affordable=answer.flag("affordable"),
        most_affordable_units=answer.number_or_none("most_affordable_units"),
        missing=answer.credits_or_zero("missing"),
    )


def _reservation(answer: Answer) -> Reservation:
    return Reservation(
        id=answer.text("id"),
        account=answer.text("account"),
        operation=answer.text("operation"),
        units=answer.number("units"),
        price_version=answer.number("price_version"),
        amount=answer.credits("amount"),
        available=answer.credits("available"),
        expires_at=answer.time("expires_at"),
        replayed=answer.replayed,
    )


def _ended(answer: Answer) -> Ended:
    return Ended(
        reservation=answer.text("reservation"),
        how=answer.text("how"),
        taken=answer.credits("taken"),
        charge=answer.text_or_none("charge"),
        available=answer.credits("available"),
        replayed=answer.replayed,
    )


def _balance(answer: Answer) -> Balance:
    return Balance(
        account=answer.text("account"),
        available=answer.credits("available"),
        held=answer.credits_or_zero("held"),
        pending=answer.credits("pending"),
        debt=answer.credits("debt"),
    )
