"""A real API process's worth of API for tests: a socket, a real ledger, and a client that checks
every answer against the OpenAPI document."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import psycopg
import uvloop
from conftest import CHAIN_ID
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from api.calling.sign_in_terms import SignInTerms
from api.identity.keys import new_api_key
from api.pricing.price_file import parse_prices
from api.problems.shortfall import NO_HELPS, Helps
from api.serve import listening
from ledger.api_key_terms import ApiKeyKind, ApiKeyTerms, Cap, Rate
from ledger.api_keys import SELF_SERVICE_APP
from ledger.granting import Granting
from ledger.ids import parse_account
from ledger.operating import Operating
from ledger.scopes import SCOPES
from ledger.spending import QUEUE_MAX

PRICES = """
[operations."chat.completion"]
per_unit = "0.002"
unit = "token"

[operations."report.render"]
base = "5"
per_unit = "2"
unit = "page"

[operations.ping]
base = "0"
"""
CREDIT = 1_000_000
WALLET = bytes.fromhex("11" * 20)  # of the account that tests are given
PUBLIC_URL = "https://credits.example"


async def no_contract(_chain_id: int, _address: bytes, _hash: bytes, _signature: bytes) -> bool:
    """No address is a contract that takes a signature."""
    return False


SIGN_IN = SignInTerms(PUBLIC_URL, frozenset({CHAIN_ID}), no_contract)


class LiveApi:
    """An API that listens, and a client of it."""

    def __init__(self, url: str, database_url: str) -> None:
        self.url = url
        self.database_url = database_url
        self.client = httpx2.Client(base_url=url, timeout=10)
        self.document: dict[str, Any] = self.client.get("/openapi.json").json()
        self.default_key = self.api_key()
        self.seen: set[tuple[str, str]] = set()
        self._keys = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def api_key(
        self,
        scopes: Sequence[str] = tuple(SCOPES),
        *,
        app: str = "shop",
        kind: ApiKeyKind = "app",
        account: str | None = None,
        operations: Sequence[str] | None = None,
        caps: Sequence[Cap] = (),
        rate: Rate | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Enter a new API key in the books."""
        key = new_api_key(kind)
        terms = ApiKeyTerms(scopes, operations, caps, rate, expires_at)

        async def enter() -> None:
            async with Operating.open(self.database_url) as operating:
                await operating.create_api_key(
                    terms,
                    key.secret,
                    kind=kind,
                    app=app if kind == "app" else SELF_SERVICE_APP,
                    account=None if account is None else parse_account(account),
                )

        asyncio.run(enter())
        return key.text

    def get(self, path: str, **params: str) -> httpx2.Response:
        return self.request("GET", path, params=params)

    def post(
        self, path: str, body: object, *, key: str | None = None, api_key: str | None = None
    ) -> httpx2.Response:
        """Write under `key`, or under a key of its own."""
        headers = {"Idempotency-Key": key or f"key-{next(self._keys)}"}
        return self.request("POST", path, json=body, headers=headers, api_key=api_key)

    def put(self, path: str, body: object, *, api_key: str | None = None) -> httpx2.Response:
        return self.request("PUT", path, json=body, api_key=api_key)

    def delete(self, path: str, *, api_key: str | None = None) -> httpx2.Response:
        return self.request("DELETE", path, api_key=api_key)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | None = None,
        anonymous: bool = False,
    ) -> httpx2.Response:
        """Send a request, and hold its answer against the OpenAPI document."""
        authorization = {"Authorization": f"Bearer {api_key or self.default_key}"}
        if anonymous:
            authorization = {}
        response = self.client.request(
            method,
            path,
            headers={**authorization, **(headers or {})},
            params=params,
            json=json,
            content=content,
        )
        self._check(method, path, response)
        return response

    @contextmanager
    def followed(
        self, account: str, last_id: str | None = None, *, api_key: str | None = None
    ) -> Iterator[httpx2.Response]:
        """Follow what happens on an account, for as long as the context lasts."""
        path = f"/v1/accounts/{account}/events"
        headers = {"Authorization": f"Bearer {api_key or self.default_key}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        with self.client.stream("GET", path, headers=headers, timeout=30) as response:
            if response.status_code != HTTPStatus.OK:
                response.read()
            self._check("GET", path, response)
            yield response

    def charge(
        self, account: str, operation: str, units: object = 1, *, key: str | None = None
    ) -> httpx2.Response:
        body = {"account": account, "operation": operation, "units": units}
        return self.post("/v1/charges", body, key=key)

    def open_wallet(self, address: bytes) -> str:
        wallet = {"chain_id": CHAIN_ID, "address": f"0x{address.hex()}"}
        return str(self.post("/v1/accounts", {"wallet": wallet}).json()["id"])

    def _check(self, method: str, path: str, response: httpx2.Response) -> None:
        template = self._template(path)
        operation = self.document["paths"].get(template, {}).get(method.lower())
        if operation is None:
            assert response.status_code in {404, 405}
            return
        declared = operation["responses"].get(str(response.status_code))
        assert declared is not None, f"{method} {template} {response.status_code} is not declared"
        media_type = response.headers["content-type"]
        assert media_type in declared["content"]
        schema = declared["content"][media_type].get("schema")
        if schema is not None and method != "HEAD":
            whole = {**schema, "components": self.document["components"]}
            wrong = best_match(Draft202012Validator(whole).iter_errors(response.json()))
            assert wrong is None, f"{method} {template}: {wrong.message}: {response.text}"
        self.seen.add((operation["operationId"], str(response.status_code)))

    def _template(self, path: str) -> str:
        path = path.partition("?")[0]
        for template in self.document["paths"]:
            parts = path.split("/")
            known = template.split("/")
            if known[-1] == "{operation}":  # its name may hold slashes
                parts = [*parts[: len(known) - 1], "/".join(parts[len(known) - 1 :])]
            if len(known) == len(parts) and all(
                a == b or (b and a.startswith("{")) for a, b in zip(known, parts, strict=True)
            ):
                return str(template)
        return ""


@contextmanager
def live_api(
    database_url: str,
    *,
    queue_max: int = QUEUE_MAX,
    sign_in: SignInTerms | None = SIGN_IN,
    rate_limit: Rate | None = None,
    helps: Helps = NO_HELPS,
) -> Iterator[LiveApi]:
    """Serve the API on a free port, from a loop in a thread of its own."""
    asyncio.run(enter_prices(database_url))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        urls: list[str] = []
        started = threading.Event()
        stop = asyncio.Event()

        async def serve() -> None:
            try:
                async with listening(
                    database_url,
                    host="127.0.0.1",
                    port=0,
                    queue_max=queue_max,
                    sign_in=sign_in,
                    rate_limit=rate_limit,
                    drain_seconds=0,
                    helps=helps,
                ) as url:
                    urls.append(url)
                    started.set()
                    await stop.wait()
            finally:
                started.set()

        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        started.wait()
        try:
            with LiveApi(urls[0], database_url) as api:
                yield api
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


def available(api: LiveApi, account: str) -> str:
    """What an account has, as the API says it."""
    return str(api.get(f"/v1/accounts/{account}/balance").json()["available"])


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, object]:
    """Hold an answer to be this problem; gives its body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["type"] == f"/problems/{code}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def code_of(response: httpx2.Response) -> str:
    """The code of the problem that an answer is."""
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["type"]).removeprefix("/problems/")


def fill(api: LiveApi, account: str, credits_: int) -> None:
    """Grant an account credits that no chain gave."""

    async def main() -> None:
        async with Granting.open(api.database_url) as granting:
            await granting.grant(
                account=parse_account(account),
                source="promotional",
                amount=credits_ * CREDIT,
                key=f"fill {account}",
            )

    asyncio.run(main())


async def enter_prices(database_url: str) -> None:
    """Put the prices of these tests in force."""
    async with Operating.open(database_url) as operating:
        await operating.apply_prices(parse_prices(PRICES))


def waits_for_lock(database_url: str) -> bool:
    """Say whether a session of the database waits for a lock of another."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select from pg_stat_activity where wait_event_type = 'Lock'"
            " and datname = current_database()"
        ).fetchone()
    return row is not None


def exchange(api: LiveApi, *pieces: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        received = b""
        # A peer that is cut off while it sends may be reset before it reads.
        with suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                connection.sendall(piece)
            while chunk := connection.recv(65_536):
                received += chunk
        return received
