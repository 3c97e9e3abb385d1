"""An app that charges for units: one micro-credit each."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from conftest import ASKED, CHAIN_ID

from ledger.ids import AccountRef, MovementRef
from ledger.operating import Operating
from ledger.operator_acts import OperatorActs
from ledger.outcomes import Charged, Linked, Refunded
from ledger.price_book import PriceRow
from ledger.reading import Balance, Reading
from ledger.spending import Spending

DIGEST = bytes(range(32))


@dataclass(frozen=True)
class SellingApp:
    app_id: int
    spending: Spending
    reading: Reading
    acts: OperatorActs

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator["SellingApp"]:
        async with AsyncExitStack() as stack:
            operating = await stack.enter_async_context(Operating.open(database_url))
            await operating.create_app_key(
                app="shop", scopes=["charge:write", "balance:read"], digest=DIGEST, hint=""
            )
            await operating.apply_prices([PriceRow("unit", 0, 1, "unit")])
            spending = await stack.enter_async_context(Spending.open(database_url))
            reading = await stack.enter_async_context(Reading.open(database_url))
            acts = await stack.enter_async_context(OperatorActs.open(database_url))
            api_key = await reading.api_key(DIGEST)
            assert api_key is not None
            yield cls(api_key.app_id, spending, reading, acts)

    async def account_of(self, wallet: bytes) -> AccountRef:
        opened = await self.spending.open_wallet_account(
            app_id=self.app_id, chain_id=CHAIN_ID, address=wallet
        )
        return opened.account

    async def link(self, wallet: bytes, account: AccountRef, *, chain_id: int = CHAIN_ID) -> None:
        """Let a wallet earn for another account from now on."""
        outcome = await self.acts.link(account, chain_id=chain_id, address=wallet, signed=ASKED)
        assert isinstance(outcome, Linked)
        assert (outcome.wallets, outcome.replayed) == (1, False)

    async def sell(self, account: AccountRef, units: int, key: str) -> MovementRef:
        outcome = await self.spending.charge(
            app_id=self.app_id, account=account, key=key, operation="unit", units=units
        )
        assert isinstance(outcome, Charged)
        return outcome.charge.movement

    async def give_back(self, charge: MovementRef, amount: int | None, key: str) -> MovementRef:
        outcome = await self.spending.refund(
            app_id=self.app_id, charge=charge, key=key, amount=amount
        )
        assert isinstance(outcome, Refunded)
        return outcome.refund.movement

    async def has(self, account: AccountRef) -> Balance:
        balance = await self.reading.balance(account)
        assert balance is not None
        return balance
