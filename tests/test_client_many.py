"""Charging many at once: what the client makes of the answer."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from creditd_client import Charged, ChargeItem, CreditsUnavailable, InsufficientCredits
from standin import ACCOUNT, Fault, StandIn, answers, line_to


def bulk(*rows: object) -> Fault:
    return answers(200, json.dumps({"charges": rows, "new": 1}).encode())


CHARGE = {"id": "chg_1", "at": "2026-01-01T00:00:00Z", "cost": "12", "available": "1", "new": [2]}
ITEMS = [ChargeItem(ACCOUNT, "chat", key=f"k{number}", model="small") for number in range(4)]


def test_of_many_charges_each_has_its_own_answer() -> None:
    async def main() -> None:
        unpaid = {"status": 402, "type": "/problems/insufficient-credits", "detail": "no"}
        amounts = {"required": "12", "available": "1", "missing": "11", "pending": "0"}
        ready = {"pending_ready_at": "2026-01-01T00:00:00Z", "most_affordable_units": 3}
        busy = {"status": 503, "type": "/problems/ledger-busy"}
        fault = bulk(
            {"charge": CHARGE, "replayed": False},
            {"problem": {**unpaid, **amounts, **ready}},
            {"charge": CHARGE, "replayed": True},
            {"problem": busy},
        )
        async with line_to(StandIn(), fault) as (purse, line):
            made, refused, again, unknown = await purse.charge_many(ITEMS)
            assert isinstance(made, Charged)
            assert (made.id, made.cost) == ("chg_1", Decimal(12))
            assert (made.replayed, made.ours) == (False, True)
            assert isinstance(refused, InsufficientCredits)
            assert (refused.missing, refused.most_affordable_units) == (Decimal(11), 3)
            assert refused.pending_ready_at == datetime(2026, 1, 1, tzinfo=UTC)
            assert isinstance(again, Charged)
            assert (again.replayed, again.ours) == (True, False)
            assert isinstance(unknown, CreditsUnavailable)
            assert (unknown.key, unknown.maybe_taken) == ("k3", True)
            assert line.requests == ["POST /v1/charges/bulk"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "nonsense",
    [
        bulk(*[{"charge": CHARGE}] * 3),
        bulk(*[{"charge": CHARGE}] * 3, {}),
        bulk(*[{"charge": CHARGE}] * 3, {"problem": {"status": 200}}),
        bulk(*[{"charge": CHARGE}] * 3, "charge"),
        answers(200, b'{"charges": 4}'),
    ],
)
def test_an_answer_to_many_that_leaves_one_open_is_none(nonsense: Fault) -> None:
    async def main() -> None:
        async with line_to(StandIn(), nonsense) as (purse, _):
            with pytest.raises(CreditsUnavailable) as unavailable:
                await purse.charge_many(ITEMS)
            assert unavailable.value.maybe_taken

    asyncio.run(main())


@pytest.mark.parametrize("number", [0, 101])
def test_many_are_one_to_a_hundred(number: int) -> None:
    async def main() -> None:
        async with line_to(StandIn()) as (purse, line):
            with pytest.raises(ValueError, match="1 to 100"):
                await purse.charge_many([ChargeItem(ACCOUNT, "chat")] * number)
            assert line.requests == []

    asyncio.run(main())
