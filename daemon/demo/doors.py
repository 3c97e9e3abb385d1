"""creditd's HTTP API and the sample app's, as their callers see them."""

from decimal import Decimal
from http import HTTPStatus
from typing import TypeVar

import httpx2
import msgspec
from creditd_client import new_key

from daemon.demo.checks import StepFailed

Answer = TypeVar("Answer")


class Balance(msgspec.Struct, frozen=True):
    """What an account has, in credits."""

    available: Decimal
    pending: Decimal
    debt: Decimal
    granted: Decimal


class Earning(msgspec.Struct, frozen=True):
    """An event that earned; `amount` is in base units, `credits` expected or granted."""

    state: str
    source: str
    credits: Decimal
    amount: str
    wallet: str
    tx_hash: str
    ordinal: int
    block_number: int
    block_hash: str
    confirmations: int
    confirmations_needed: int | None


class Origin(msgspec.Struct, frozen=True):
    """The event that a grant was made for."""

    source: str
    tx_hash: str
    ordinal: int


class Entry(msgspec.Struct, frozen=True):
    """A row of an account's books."""

    seq: int
    kind: str
    amount: Decimal
    available_after: Decimal
    movement: int
    refers_to: int | None
    operation: str | None
    grant: Origin | None


class ChainStatus(msgspec.Struct, frozen=True):
    """How far the chain has been followed."""

    chain: str
    state: str
    reason: str | None
    indexed_number: int
    confirmed_number: int


class Problem(msgspec.Struct, frozen=True):
    """A refusal (RFC 9457); the amounts are a 402's."""

    type: str
    detail: str
    required: Decimal | None = None
    available: Decimal | None = None
    missing: Decimal | None = None
    pending: Decimal | None = None


class Reply(msgspec.Struct, frozen=True):
    """What the sample app answered: its status, and what it said of credits."""

    status: int
    cost: Decimal | None
    balance: Decimal | None
    problem: Problem | None


class _Page(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    next_cursor: str | None


class _Account(msgspec.Struct, frozen=True):
    id: str


class _Status(msgspec.Struct, frozen=True):
    chains: list[ChainStatus]


class Api:
    """creditd's API; `http` has its address and the API key."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def is_ready(self) -> bool:
        """Return whether it listens and its ledger answers."""
        try:
            return (await self._http.get("/readyz")).status_code == HTTPStatus.OK
        except httpx2.TransportError:
            return False

    async def chains(self) -> list[ChainStatus]:
        """Return how far the chains have been followed."""
        return (await self._ask("/status", _Status)).chains

    async def open_wallet(self, chain_id: int, address: bytes) -> str:
        """Return the account of a wallet."""
        wallet = {"chain_id": chain_id, "address": f"0x{address.hex()}"}
        response = await self._http.post(
            "/v1/accounts", json={"wallet": wallet}, headers={"Idempotency-Key": new_key()}
        )
        return _decoded(response, _Account).id

    async def balance(self, account: str) -> Balance:
        """Return what an account has."""
        return await self._ask(f"/v1/accounts/{account}/balance", Balance)

    async def earnings(self, account: str) -> list[Earning]:
        """Return what an account earned, newest first."""
        return await self._pages(f"/v1/accounts/{account}/earnings", Earning)

    async def earning(self, account: str, tx_hash: str) -> Earning | None:
        """Return what an account earned by a transaction, if it is among its newest."""
        page = await self._ask(f"/v1/accounts/{account}/earnings", _Page)
        found = (msgspec.json.decode(row, type=Earning) for row in page.data)
        return next((earning for earning in found if earning.tx_hash == tx_hash), None)

    async def entries(self, account: str) -> list[Entry]:
        """Return an account's entries, newest first."""
        return await self._pages(f"/v1/accounts/{account}/entries", Entry)

    async def _pages(self, path: str, shape: type[Answer]) -> list[Answer]:
        found: list[Answer] = []
        page = await self._ask(path, _Page)
        while True:  # ends with the last page; the demo's books stay below a few
            found += [msgspec.json.decode(row, type=shape) for row in page.data]
            if page.next_cursor is None:
                return found
            page = await self._ask(f"{path}?cursor={page.next_cursor}", _Page)

    async def _ask(self, path: str, shape: type[Answer]) -> Answer:
        return _decoded(await self._http.get(path), shape)


class Shop:
    """The sample app, as a customer with a token calls it."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def buy(self, token: str, operation: str, key: str) -> Reply:
        """Ask for an operation."""
        response = await self._http.post(
            f"/{operation}",
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        )
        is_problem = response.headers["content-type"] == "application/problem+json"
        return Reply(
            response.status_code,
            _amount(response, "credits-cost"),
            _amount(response, "credits-balance"),
            msgspec.json.decode(response.content, type=Problem) if is_problem else None,
        )


def _amount(response: httpx2.Response, header: str) -> Decimal | None:
    text = response.headers.get(header)
    return None if text is None else Decimal(text)


def _decoded(response: httpx2.Response, shape: type[Answer]) -> Answer:
    if not response.is_success:
        raise StepFailed(
            "asking the API",
            f"{response.request.method} {response.request.url.path}",
            expected="an answer",
            found=f"{response.status_code} {response.text[:200]}",
        )
    return msgspec.json.decode(response.content, type=shape)
