"""The client and the middleware against creditd itself: its API on a socket, its real books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import httpx2
from conftest import CHAIN_ID, earn
from creditd_client import AsyncCredits, Metered, Metering, caller_key
from creditd_client.asgi import Scope
from shop import App
from standin import Line, lost_after, served

from api.app import Api
from api.calling.calls import Parts
from api.calling.sessions import Sessions
from api.calling.signing import Signing
from api.identity.keys import new_api_key
from api.metrics import Metrics
from api.pricing.price_file import parse_prices
from api.serve import listening
from ledger.api_keys import OwnApiKeys
from ledger.balances import Balances
from ledger.changes import Changes
from ledger.consents import Consents
from ledger.linking import Linking
from ledger.operating import Operating
from ledger.reading import Reading
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.sign_ins import SignIns
from ledger.spending import Spending

WALLET = bytes(range(20))
PRICES = '[operations.chat]\nbase = "12"\nunit = "call"\n[operations.ping]\nbase = "0"\n'
SCOPES = ("charge:write", "balance:read", "accounts:attest")


@dataclass
class Customer:
    """Somebody with an account at creditd, a shop to spend from it, and a look at its balance."""

    account: str
    purse: AsyncCredits
    http: httpx2.AsyncClient
    app: App

    async def get(self, path: str, key: str) -> httpx2.Response:
        return await self.http.get(path, headers={"Idempotency-Key": key})

    async def available(self) -> Decimal:
        return (await self.purse.balance(self.account)).available


@asynccontextmanager
async def customer_of(creditd_url: str, api_key: str) -> AsyncIterator[Customer]:
    wallet = {"chain_id": CHAIN_ID, "address": f"0x{WALLET.hex()}"}
    headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": "open"}
    async with httpx2.AsyncClient(base_url=creditd_url, headers=headers) as http:
        opened = await http.post("/v1/accounts", json={"wallet": wallet})
        account = str(opened.raise_for_status().json()["id"])

    def price(scope: Scope) -> Metered:
        operation = "ping" if scope["query_string"] == b"ping" else "chat"
        return Metered(account, operation, key=caller_key(scope))

    app = App()
    async with (
        AsyncCredits(creditd_url, api_key) as purse,
        served(Metering(app, credits=purse, price=price)) as web,
        httpx2.AsyncClient(base_url=web.url) as http,
    ):
        yield Customer(account, purse, http, app)


async def enter(database_url: str) -> str:
    """Put prices and an API key in the books; return the API key."""
    key = new_api_key()
    async with Operating.open(database_url) as operating:
        await operating.apply_prices(parse_prices(PRICES))
        await operating.create_app_key(
            app="shop", scopes=SCOPES, digest=key.digest, hint=key.hint, expires_at=None
        )
    return key.text


def test_what_was_earned_on_chain_pays_for_an_apps_requests(database_url: str) -> None:
    earn(database_url, WALLET, 20_000_000)

    async def main() -> None:
        api_key = await enter(database_url)
        async with (
            listening(database_url, host="127.0.0.1", port=0) as url,
            customer_of(url, api_key) as customer,
        ):
            paid = await customer.get("/status/200", "first")
            assert (paid.status_code, paid.headers["credits-balance"]) == (200, "8")
            again = await customer.get("/status/200", "first")
            assert again.json()["type"] == "/problems/operation-was-charged"
            assert await customer.available() == 8

            unpaid = await customer.get("/status/200", "second")
            assert unpaid.status_code == 402
            assert unpaid.headers["cache-control"] == "no-store"
            assert unpaid.headers["credits-balance"] == "8"
            assert unpaid.headers["credits-cost"] == "12"
            assert unpaid.json()["missing"] == "4"
            assert unpaid.json()["operation"] == "chat"
            assert customer.app.runs == 1

    asyncio.run(main())


def test_what_fails_is_in_the_balance_again_and_does_not_run_for_nothing(
    database_url: str,
) -> None:
    earn(database_url, WALLET, 20_000_000)

    async def main() -> None:
        api_key = await enter(database_url)
        async with (
            listening(database_url, host="127.0.0.1", port=0) as url,
            customer_of(url, api_key) as customer,
        ):
            failed = await customer.get("/status/500", "k")
            assert (failed.status_code, failed.headers["credits-cost"]) == (500, "0")
            assert failed.headers["credits-balance"] == "20"
            assert await customer.available() == 20
            again = await customer.get("/status/200", "k")
            assert again.json()["type"] == "/problems/operation-was-refunded"
            reused = await customer.get("/status/200?ping", "k")
            assert reused.status_code == 422
            assert (await customer.get("/status/500?ping", "free")).status_code == 500
            assert customer.app.runs == 2

    asyncio.run(main())


def test_a_charge_whose_answer_was_lost_is_taken_once_and_told(database_url: str) -> None:
    earn(database_url, WALLET, 20_000_000)

    async def main() -> None:
        api_key = await enter(database_url)
        async with (
            Spending.open(database_url) as spending,
            Reserving.open(database_url) as reserving,
            Sharing.open(database_url) as sharing,
            Consents.open(database_url) as consents,
            OwnApiKeys.open(database_url) as api_keys,
            Reading.open(database_url) as reading,
            Changes.open(database_url) as changes,
            Balances.open(reading, changes) as balances,
            SignIns.open(database_url) as sign_ins,
            Linking.open(database_url) as linking,
        ):
            signing = Signing(sign_ins, linking, Sessions(sign_ins), None)
            parts = Parts(
                spending=spending,
                reserving=reserving,
                sharing=sharing,
                consents=consents,
                api_keys=api_keys,
                reading=reading,
                balances=balances,
                signing=signing,
                metrics=Metrics(),
            )
            line = Line(Api(parts))
            async with served(line) as creditd, customer_of(creditd.url, api_key) as customer:
                line.faults.append(lost_after)
                told = await customer.get("/status/200", "k")
                assert told.json()["type"] == "/problems/operation-was-charged"
                assert await customer.available() == 8
                assert customer.app.runs == 0
                assert [request for request in line.requests if "POST /v1/charges" in request] == [
                    "POST /v1/charges",
                    "POST /v1/charges",
                ]

    asyncio.run(main())
