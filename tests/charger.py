"""A process that charges: told what on its standard input, it begins when told to, and reports.

The first line is `{"app_id", "root_id", "account_id", "charges": [[key, units]], "refunds": [[key,
seq, amount]]}`, the second says go; the answer is a list with an outcome for each.
"""

import asyncio
import json
import sys
from typing import Any

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Charged, ChargeOutcome, MoreThanTaken, Refunded, RefundOutcome
from ledger.spending import Spending


async def main(database_url: str) -> None:
    job = json.loads(sys.stdin.readline())
    app_id, account = job["app_id"], AccountRef(job["root_id"], job["account_id"])
    async with Spending.open(database_url, lanes=2) as spending:
        print("ready", flush=True)  # noqa: T201 - to whoever started it
        sys.stdin.readline()
        outcomes = await asyncio.gather(
            *(
                spending.charge(
                    app_id=app_id, account=account, key=key, operation="unit", units=units
                )
                for key, units in job["charges"]
            ),
            *(
                spending.refund(
                    app_id=app_id, charge=MovementRef(account, seq), key=key, amount=amount
                )
                for key, seq, amount in job["refunds"]
            ),
        )
    print(json.dumps([told(outcome) for outcome in outcomes]))  # noqa: T201 - as above


def told(outcome: ChargeOutcome | RefundOutcome) -> dict[str, Any]:
    match outcome:
        case Charged(charge, replayed):
            answer = [charge.movement.seq, charge.cost, charge.available, charge.at.isoformat()]
            return {"is": "charged", "replayed": replayed, "answer": answer}
        case Refunded(refund, replayed):
            answer = [refund.movement.seq, refund.amount, refund.available, refund.at.isoformat()]
            return {"is": "refunded", "replayed": replayed, "answer": answer}
        case MoreThanTaken(refundable):
            return {"is": "MoreThanTaken", "refundable": refundable}
    fields = {name: getattr(outcome, name) for name in getattr(outcome, "__slots__", ())}
    return {"is": type(outcome).__name__, **fields}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
