"""Every request that creditd is sent, and how its answer is read. No connection is needed here."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
    ReservationRecord,
)
from creditd_client.errors import CreditsError
from creditd_client.keys import KEY_LENGTH_MAX, is_key, new_key, quote_key
from creditd_client.wire import meanings
from creditd_client.wire.reading import Answer

ITEMS_MAX: Final = 100  # as many as creditd takes in one request

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class ChargeItem:
    """One charge of many. Its `key` names it alone; one is made where none is given."""

    account: str
    operation: str
    units: int = 1
    key: str = field(default_factory=new_key)
    model: str | None = None
    price_version: int | None = None


@dataclass(frozen=True, slots=True)
class Request(Generic[Meaning]):
    """A request, sent under one key however often; `read` says what its answer means.

    `key` is None where doing it again changes nothing more, and where each item has its own.
    `ends` says that it ends what has begun (a refund, a settlement), which is worth a longer wait
    than a beginning is.
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
    item = ChargeItem(account, operation, units, sound(key), model, price_version)
    body = _item(item)
    del body["key"]
    began = datetime.now(UTC)
    return _post("/v1/charges", body, item.key, lambda answer: meanings.charged(answer, began))


def charge_many(items: Sequence[ChargeItem]) -> Request[list[Charged | CreditsError]]:
    """Take the price of each item, every one under a key of its own."""
    if not 1 <= len(items) <= ITEMS_MAX:
        raise ValueError(f"{len(items)} charges: give 1 to {ITEMS_MAX} at a time")
    began = datetime.now(UTC)

    def read(answer: Answer) -> list[Charged | CreditsError]:
        rows = answer.rows("charges")
        if len(rows) != len(items):
            raise answer.nonsense("charges")
        return [
            meanings.of_many(answer, row, item.key, began)
            for row, item in zip(rows, items, strict=True)
        ]

    content = json.dumps({"charges": [_item(item) for item in items]}).encode()
    return Request("POST", "/v1/charges/bulk", None, content, read)


def refund(charge_id: str, *, key: str | None, amount: Decimal | None) -> Request[Refunded]:
    """Give back an amount of a charge, or all that is left of it."""
    body = {"amount": _in_full(amount)}
    return _post(
        f"/v1/charges/{_name(charge_id)}/refund", body, sound(key), meanings.refunded, ends=True
    )


def find_charge(charge_id: str) -> Request[ChargeRecord]:
    """Look a charge up."""
    return _get(f"/v1/charges/{_name(charge_id)}", meanings.charge_record)


def quote(account: str, operation: str, units: int, *, model: str | None) -> Request[Quote]:
    """Ask what units of an operation cost an account."""
    body = {"account": account, "operation": operation, "units": units, "model": model}
    return _post("/v1/quotes", body, None, meanings.quote)


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
    return _post("/v1/reservations", body, sound(key), meanings.reservation)


def find_reservation(reservation_id: str) -> Request[ReservationRecord]:
    """Look a reservation up."""
    return _get(f"/v1/reservations/{_name(reservation_id)}", meanings.reservation_record)


def settle(
    reservation_id: str,
    amount: Decimal | None,
    *,
    units: int | None,
    at_least: Decimal | None,
    key: str | None,
) -> Request[Ended]:
    """Take an amount, or what units cost, of what is held and give back the rest."""
    if (amount is None) == (units is None):
        raise ValueError(f"settle by an amount or by units (got {amount} and {units})")
    if units is None and at_least is not None:
        raise ValueError(f"at_least is for units (got {at_least} with an amount)")
    path = f"/v1/reservations/{_name(reservation_id)}/settle"
    body = {"amount": _in_full(amount), "units": units, "at_least": _in_full(at_least)}
    return _post(path, body, sound(key), meanings.ended, ends=True)


def release(reservation_id: str, *, key: str | None) -> Request[Ended]:
    """Give back all that is held."""
    path = f"/v1/reservations/{_name(reservation_id)}/release"
    return _post(path, {}, sound(key), meanings.ended, ends=True)


def extend(reservation_id: str, until: datetime) -> Request[datetime]:
    """Let a reservation last until a moment."""
    if until.tzinfo is None:
        raise ValueError(f"until is {until}, a time without a zone: give datetime.now(UTC) + …")
    path = f"/v1/reservations/{_name(reservation_id)}/extend"
    body = {"until": until.astimezone(UTC).isoformat()}
    return _post(path, body, None, lambda answer: answer.time("expires_at"))


def balance(account: str) -> Request[Balance]:
    """Look up what an account can spend."""
    return _get(f"/v1/accounts/{_name(account)}/balance", meanings.balance)


def open_account(name: str) -> Request[str]:
    """Open the app's account of a name, or find it."""
    return _post("/v1/accounts", {"name": name}, None, lambda answer: answer.text("id"))


def open_wallet_account(chain_id: int, address: str) -> Request[str]:
    """Open a wallet's account, or find it."""
    body = {"wallet": {"chain_id": chain_id, "address": address}}
    return _post("/v1/accounts", body, None, lambda answer: answer.text("id"))


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
    return Request("POST", path, key, json.dumps(asked).encode(), read, ends)


def _get(path: str, read: Callable[[Answer], Meaning]) -> Request[Meaning]:
    return Request("GET", path, None, None, read)


def _name(text: str) -> str:
    """Return a name as one part of a path, whatever is in it."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} is no name: take the `id` that creditd answered")
    return escaped(text, safe="")


def _in_full(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _item(item: ChargeItem) -> dict[str, object]:
    """Return one charge as it is asked for."""
    asked = {
        "key": sound(item.key),
        "account": item.account,
        "operation": item.operation,
        "units": item.units,
        "model": item.model,
        "price_version": item.price_version,
    }
    return {name: value for name, value in asked.items() if value is not None}
