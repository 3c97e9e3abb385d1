"""What something would cost, as the client reads it."""

import asyncio
import json
from decimal import Decimal

from creditd_client import Quote
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
