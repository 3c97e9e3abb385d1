"""What something would cost: as the client reads it, and as the middleware settles by it."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from creditd_client import AsyncHeld, MeteredUpTo, Quote, Reservation
from creditd_client.metering.losses import Losses
from creditd_client.metering.reserving import HeldRun
from standin import ACCOUNT, Fault, StandIn, answers, line_to

QUOTE = {
    "price_version": 3,
    "cost": "5",
    "available": "2",
    "affordable": False,
    "most_affordable_units": 1,
    "missing": "3",
    "account": ACCOUNT,
    "new": {"deep": [1]},
}
HELD = Reservation(
    id="rsv_1",
    account=ACCOUNT,
    operation="chat",
    units=10,
    price_version=3,
    amount=Decimal(8),
    available=Decimal(0),
    expires_at=datetime(2040, 1, 1, tzinfo=UTC),
    replayed=False,
)


def quoted(**changed: object) -> Fault:
    return answers(200, json.dumps({**QUOTE, **changed}).encode())


def test_a_quote_says_what_it_costs_and_how_much_can_be_paid() -> None:
    async def main() -> None:
        unbound = quoted(affordable=True, most_affordable_units=None, missing="0")
        async with line_to(StandIn(), quoted(), unbound) as (purse, line):
            quote = await purse.quote(ACCOUNT, "chat", 4, model="small")
            assert quote == Quote(3, Decimal(5), Decimal(2), False, 1, Decimal(3))
            quote = await purse.quote(ACCOUNT, "chat")
            assert quote == Quote(3, Decimal(5), Decimal(2), True, None, Decimal(0))
            assert line.requests == ["POST /v1/quotes"] * 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "units", "cost"),
    [
        (quoted(), 4, Decimal(5)),
        (quoted(price_version=4), 4, Decimal("3.2")),
        (answers(404), 4, Decimal("3.2")),
        (quoted(cost="1"), 10, Decimal(8)),
        (quoted(), 0, Decimal(0)),
    ],
)
def test_units_cost_what_they_did_when_they_were_held(
    fault: Fault, units: int, cost: Decimal
) -> None:
    async def main() -> None:
        async with line_to(StandIn(), fault) as (purse, line):
            asked = MeteredUpTo(ACCOUNT, "chat", 10)
            run = HeldRun(purse, Losses(None, None), asked, AsyncHeld(purse, HELD))
            assert await run._price(units) == cost
            assert len(line.requests) == (units == 4)

    asyncio.run(main())
