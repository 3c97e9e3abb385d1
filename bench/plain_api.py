"""The reference: the same charge as most would write it, and as well as that form allows.

FastAPI with pydantic models, SQLAlchemy's async engine on psycopg, uvicorn on uvloop and httptools.
A request is one call of the books' own function with a batch of one, and one transaction: the same
accounts, the same entries, the same once-only keys, the same durability. API keys are remembered as
long as ours are.
"""

import gc
import hashlib
import sys
import time
from datetime import datetime
from typing import Annotated, Any, Final

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from ledger.credits import format_credits
from ledger.ids import AccountRef, MovementRef, format_account, format_movement, parse_account
from ledger.requests import digest128, key_digest

# Tried 2 to 32 under 64 connections, on a busy machine: best on random accounts, and on one account
# 4 to 32 did not differ beyond the noise.
POOL_SIZE: Final = 16
API_KEY_CACHE_SECONDS: Final = 5

_CHARGE: Final = text(
    "select o_outcomes[1], o_payers[1], o_seqs[1], o_versions[1], o_amounts[1], o_availables[1],"
    " o_times[1] from creditd.charge_batch(cast(:root as bigint), array[cast(:root as bigint)],"
    " array[cast(:account as bigint)], array[cast(:app as integer)], array[cast(:key as uuid)],"
    " array[cast(:request as uuid)], array[cast(:operation as text)], array[''], array[1],"
    " array[cast(:units as bigint)], array[cast(:version as integer)],"
    " array[cast(:api_key as integer)])"
)
_API_KEY: Final = text(
    "select k.key_id, k.app_id, k.scopes from creditd.api_key k where k.digest = :digest"
    " and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())"
)
_REFUSALS: Final = {3: 402, 4: 422, 5: 404, 6: 422, 7: 409, 8: 422, 9: 403, 10: 402}


class ChargeRequest(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    account: str = Field(max_length=64)
    operation: str = Field(pattern=r"^[a-z0-9._-]+$", max_length=100)
    units: int = Field(default=1, ge=1)
    price_version: int | None = Field(default=None, ge=1)


class Charge(BaseModel):
    """What is answered."""

    id: str
    account: str
    operation: str
    units: int
    price_version: int
    cost: str
    available: str
    at: datetime


class PlainApi:
    """The endpoint, and what it works with."""

    def __init__(self, database_url: str) -> None:
        self._engine = create_async_engine(
            make_url(database_url).set(drivername="postgresql+psycopg"),
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_reset_on_return=None,
            # One statement is one transaction: neither BEGIN nor COMMIT travels by itself.
            isolation_level="AUTOCOMMIT",
            connect_args={"prepare_threshold": 0},
        )
        self._known: dict[bytes, tuple[float, Any]] = {}

    async def charge(
        self,
        asked: ChargeRequest,
        response: Response,
        idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
        authorization: Annotated[str | None, Header()] = None,
    ) -> Charge:
        """Take an operation's price from an account."""
        api_key, app_id, scopes = await self._caller(authorization)
        if "charge:write" not in scopes:
            raise HTTPException(403, "the API key lacks a scope")
        account = parse_account(asked.account)
        async with self._engine.connect() as connection:
            found = await connection.execute(
                _CHARGE,
                {**parameters(app_id, account, idempotency_key, asked), "api_key": api_key},
            )
        outcome, payer, seq, version, cost, available, at = found.one()
        if outcome in _REFUSALS:
            raise HTTPException(_REFUSALS[outcome], "refused")
        name = format_movement("chg", MovementRef(AccountRef(account.root_id, payer), seq))
        response.headers["Location"] = f"/v1/charges/{name}"
        response.headers["Credits-Balance"] = format_credits(available)
        response.headers["Credits-Cost"] = format_credits(cost)
        return Charge(
            id=name,
            account=format_account(account),
            operation=asked.operation,
            units=asked.units,
            price_version=version,
            cost=format_credits(cost),
            available=format_credits(available),
            at=at,
        )

    async def _caller(self, authorization: str | None) -> Any:  # noqa: ANN401 - a row
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise HTTPException(401, "no API key")
        digest = hashlib.sha256(key.encode()).digest()
        until, row = self._known.get(digest, (0.0, None))
        if until < time.monotonic():
            async with self._engine.connect() as connection:
                row = (await connection.execute(_API_KEY, {"digest": digest})).one_or_none()
            self._known[digest] = (time.monotonic() + API_KEY_CACHE_SECONDS, row)
        if row is None:
            raise HTTPException(401, "not a good API key")
        return row


def parameters(app_id: int, account: AccountRef, key: str, asked: ChargeRequest) -> dict[str, Any]:
    """Return what the books' function is called with."""
    request = digest128("charge", asked.operation, str(asked.units), str(asked.price_version))
    return {
        "root": account.root_id,
        "account": account.account_id,
        "app": app_id,
        "key": key_digest(app_id, account, key).hex(),
        "request": request.hex(),
        "operation": asked.operation,
        "units": asked.units,
        "version": asked.price_version or 0,
    }


def app_of(database_url: str) -> FastAPI:
    """Return the application."""
    app = FastAPI(openapi_url=None)
    charge = PlainApi(database_url).charge
    app.add_api_route(
        "/v1/charges", charge, methods=["POST"], status_code=201, response_model=Charge
    )
    return app


def main() -> None:
    """Serve on the port and for the database of the command line until the process is ended."""
    port, database_url = int(sys.argv[1]), sys.argv[2]
    app = app_of(database_url)
    gc.collect()
    gc.freeze()  # as `creditd serve` does
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
