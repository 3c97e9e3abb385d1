"""The least an answer of our server costs: the API itself, with one endpoint that charges nobody.

It takes the requests that charge and answers with bytes of the same shape and length: the same
connections, the same look at the API key and the idempotency key, the same types read and written.
"""

import asyncio
import gc
import sys
from datetime import UTC, datetime
from typing import Final

import uvloop

from api.calling.calls import Answer, Call, Endpoint, Parts
from api.metering import wire
from api.serve import listening
from api.shapes import NoQuery

_AT: Final = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
_CHARGE: Final = "chg_0123456789abc_1z4"
_COST: Final = "0.001"
_AVAILABLE: Final = "999999.421"
_HEADERS: Final = (
    ("Location", f"/v1/charges/{_CHARGE}"),
    ("Credits-Balance", _AVAILABLE),
    ("Credits-Cost", _COST),
)


async def _echo(_parts: Parts, call: Call[wire.ChargeRequest, NoQuery]) -> Answer:
    asked = call.body
    return Answer(
        201,
        wire.Charge(
            _CHARGE, asked.account, asked.operation, None, asked.units, 1, _COST, _AVAILABLE, _AT
        ),
        _HEADERS,
    )


ECHO: Final = Endpoint(
    method="POST",
    path="/v1/charges",
    name="echo",
    summary="Answer as a charge is answered, and take nothing",
    scopes=("charge:write",),
    body=wire.ChargeRequest,
    query=NoQuery,
    answers={201: wire.Charge},
    run=_echo,
)


def main() -> None:
    """Serve on the port and for the database of the command line until the process is ended."""
    port, database_url = int(sys.argv[1]), sys.argv[2]

    async def serve() -> None:
        async with listening(database_url, host="127.0.0.1", port=port, endpoints=(ECHO,)):
            gc.collect()
            gc.freeze()  # as `creditd serve` does
            await asyncio.get_running_loop().create_future()

    uvloop.run(serve())
