"""Quoting: what something would cost, and whether it could be paid for."""

from typing import Final

from sqlalchemy import BigInteger, Integer, Text, bindparam, func, select

from ledger.ids import AccountRef
from ledger.outcomes import (
    Frozen,
    NoSuchAccount,
    Quote,
    QuoteOutcome,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.reading import Reading
from ledger.requests import BIGINT_MAX

_quote = func.creditd.quote(
    *(bindparam(name, type_=BigInteger) for name in ("root", "account")),
    *(bindparam(name, type_=Integer) for name in ("app", "api_key")),
    *(bindparam(name, type_=Text) for name in ("operation", "model")),
    *(bindparam(name, type_=BigInteger) for name in ("units", "units_max")),
).table_valued(
    *("outcome", "price_version", "model", "cost", "available", "held", "debt", "most"),
)
_QUOTE: Final = select(_quote)


async def quote(
    reading: Reading,
    *,
    app_id: int,
    account: AccountRef,
    operation: str,
    model: str | None = None,
    units: int,
    units_max: int,
    api_key_id: int | None = None,
) -> QuoteOutcome:
    """Tell what `units` of an operation cost now, and how many up to `units_max` can be paid for.

    Raises as every method of `Reading` does.
    """
    if not 1 <= units <= BIGINT_MAX:
        return TooExpensive()
    asked = {
        "root": account.root_id,
        "account": account.account_id,
        "app": app_id,
        "api_key": api_key_id or 0,
        "operation": operation,
        "model": model or "",
        "units": units,
        "units_max": units_max,
    }
    (row,) = await reading.ask(_QUOTE, asked)
    if row.outcome != "quoted":
        return _REFUSALS[row.outcome]
    return Quote(
        price_version=row.price_version,
        model=row.model,
        cost=row.cost,
        available=row.available,
        held=row.held,
        debt=row.debt,
        most_affordable_units=row.most,
    )


_REFUSALS: Final[dict[str, QuoteOutcome]] = {
    "no_account": NoSuchAccount(),
    "frozen": Frozen(),
    "unknown_operation": UnknownOperation(),
    "unknown_model": UnknownModel(),
    "too_expensive": TooExpensive(),
}
