"""The calls an app makes to creditd."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from creditd_client.answers import Balance, Charged, ChargeRecord, Refunded
from creditd_client.keys import KEY_LENGTH_MAX, is_key, new_key
from creditd_client.wire import Wire

# How far this host's clock and creditd's may differ: kept clocks agree within a second.
CLOCKS_APART_MAX: Final = timedelta(seconds=5)


class Credits:
    """An app's way to creditd: a pool of connections, closed by `async with` or `aclose`.

    A call makes up to `wire.ATTEMPTS_MAX` attempts under one idempotency key, each bounded by
    `timeout_seconds` from connecting to the last byte of the answer. It tries again after a
    broken connection, a 429 and a 5xx, and not where creditd wants a wait longer than
    `wire.RETRY_AFTER_SECONDS_MAX`.

    Every call raises Refused where creditd says no, CreditsUnavailable where it does not answer.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout_seconds: float = 3) -> None:
        if not (api_key.isascii() and api_key.isprintable()) or api_key != api_key.strip():
            raise ValueError("api_key is not one word of ASCII: strip what surrounds it")
        self._wire = Wire(base_url, api_key, timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        await self._wire.close()

    async def charge(
        self, account: str, operation: str, units: int = 1, *, key: str | None = None
    ) -> Charged:
        """Take the price of `units` of an operation from an account, once per key.

        A key is made where none is given. Raises InsufficientCredits where the balance does not
        cover the price, OverBudget where a member's budget does not: nothing is taken then, and
        the key may be used again.
        """
        body = {"account": account, "operation": operation, "units": units}
        began = datetime.now(UTC)
        answer = await self._wire.post("/v1/charges", body, _sound(key))
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

    async def refund(
        self, charge_id: str, *, key: str | None = None, amount: Decimal | None = None
    ) -> Refunded:
        """Give back so many credits of a charge, or all that is left of it, once per key."""
        body = {} if amount is None else {"amount": f"{amount:f}"}
        path = f"/v1/charges/{quote(charge_id, safe='')}/refund"
        answer = await self._wire.post(path, body, _sound(key))
        return Refunded(
            id=answer.text("id"),
            charge=answer.text("charge"),
            amount=answer.credits("amount"),
            repaid=answer.credits("repaid"),
            available=answer.credits("available"),
            replayed=answer.replayed,
        )

    async def find_charge(self, charge_id: str) -> ChargeRecord:
        """Look a charge up, and how much of it was given back."""
        answer = await self._wire.get(f"/v1/charges/{quote(charge_id, safe='')}")
        return ChargeRecord(
            id=answer.text("id"),
            account=answer.text("account"),
            operation=answer.text("operation"),
            units=answer.number("units"),
            cost=answer.credits("cost"),
            refunded=answer.credits("refunded"),
        )

    async def balance(self, account: str) -> Balance:
        """Look up what an account can spend."""
        answer = await self._wire.get(f"/v1/accounts/{quote(account, safe='')}/balance")
        return Balance(
            account=answer.text("account"),
            available=answer.credits("available"),
            pending=answer.credits("pending"),
            debt=answer.credits("debt"),
        )


def _sound(key: str | None) -> str:
    if key is None:
        return new_key()
    if not is_key(key):
        raise ValueError(
            f"{key[:40]!r} is no idempotency key: those are 1 to {KEY_LENGTH_MAX} printable ASCII"
            " characters"
        )
    return key
