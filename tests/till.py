"""creditd itself behind a line that can break, an account with credits, and both clients."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

import psycopg
from broken_line import BrokenLine, broken_line
from conftest import CHAIN_ID, earn
from creditd_client import AsyncCredits, Breaker, Credits, Held

from api.identity.keys import new_api_key
from api.pricing.price_file import parse_prices
from api.serve import listening
from ledger.operating import Operating

WALLET = bytes(range(20))
PRICES = """
[operations.chat]
base = "12"
unit = "call"
[operations.summary]
base = "2"
unit = "call"
[operations.tokens]
per_unit = "0.5"
unit = "token"
[operations.ping]
base = "0"
"""
SCOPES = ("charge:write", "balance:read", "accounts:write", "accounts:attest")
EARNED = Decimal(20)
NONE = Decimal(0)

Kind = Literal["async", "sync"]


class InThreads:
    """The sync client, or what it holds, with each of its calls awaited in a thread."""

    def __init__(self, of: Credits | Held) -> None:
        self._of = of

    def __getattr__(self, name: str) -> object:
        member = getattr(self._of, name)
        if not callable(member):
            return member
        if name == "within":
            return lambda seconds: InThreads(member(seconds))

        async def call(*given: object, **named: object) -> object:
            answer = await asyncio.to_thread(member, *given, **named)
            return InThreads(answer) if isinstance(answer, Held) else answer

        return call


@dataclass
class Till:
    """An account that has EARNED credits, and the ways to it."""

    line: BrokenLine
    api_key: str
    account: str
    database_url: str
    direct: AsyncCredits

    async def has(self) -> tuple[Decimal, Decimal]:
        """What is available and held, as creditd says itself."""
        balance = await self.direct.balance(self.account)
        return balance.available, balance.held

    def row(self, query: str) -> tuple[Any, ...]:
        """One row of the books."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return row

    @asynccontextmanager
    async def client(
        self,
        kind: Kind,
        *,
        timeout_seconds: float = 3,
        breaker: Breaker | None = None,
        trust_env: bool = False,
    ) -> AsyncIterator[AsyncCredits]:
        """A client of either kind on the line, whose calls are awaited."""
        made = (AsyncCredits if kind == "async" else Credits)(
            self.line.url,
            self.api_key,
            timeout_seconds=timeout_seconds,
            breaker=breaker,
            trust_env=trust_env,
        )
        if isinstance(made, AsyncCredits):
            async with made:
                yield made
        else:
            with made:
                yield cast(AsyncCredits, InThreads(made))


async def enter(database_url: str) -> str:
    """Put prices and an API key in the books; return the API key."""
    key = new_api_key()
    async with Operating.open(database_url) as operating:
        await operating.apply_prices(parse_prices(PRICES))
        await operating.create_app_key(
            app="shop", scopes=SCOPES, digest=key.digest, hint=key.hint, expires_at=None
        )
    return key.text


@asynccontextmanager
async def till(database_url: str) -> AsyncIterator[Till]:
    """Let an account earn, and serve creditd."""
    await asyncio.to_thread(earn, database_url, WALLET, int(EARNED * 1_000_000))
    api_key = await enter(database_url)
    async with (
        listening(database_url, host="127.0.0.1", port=0, drain_seconds=0) as url,
        broken_line(url) as line,
        AsyncCredits(url, api_key) as direct,
    ):
        account = await direct.open_wallet_account(CHAIN_ID, f"0x{WALLET.hex()}")
        yield Till(line, api_key, account, database_url, direct)


def public_signatures(kind: type) -> dict[str, inspect.Signature]:
    """The public methods of a class and what they take."""
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }
