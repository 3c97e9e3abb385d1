"""What the story is told with: the chain, the API, the app, and who is a customer there."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.demo.checks import Checks
from daemon.demo.doors import Api, Earning, Shop
from daemon.demo.printing import short
from daemon.demo.terms import CHAIN, CONFIRMATIONS
from daemon.demo.town import Earned, Earner, Town


@dataclass(frozen=True, slots=True)
class Customer:
    """An earner's account at creditd, and their token at the sample app."""

    account: str
    token: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts, running. `customers` are found by the earner's name."""

    town: Town
    api: Api
    shop: Shop
    customers: Mapping[str, Customer]
    checks: Checks

    def account(self, earner: Earner) -> str:
        """Return an earner's account."""
        return self.customers[earner.name].account

    async def follow(self, number: int) -> None:
        """Wait until the books have the chain up to a block, and confirmed what it confirms."""
        (chain,) = await self.checks.until(
            f"blocks read and confirmed: {number} and {number - CONFIRMATIONS}",
            self.api.chains,
            lambda chains: (
                [(each.indexed_number, each.confirmed_number) for each in chains]
                == [(number, number - CONFIRMATIONS)]
            ),
        )
        self.checks.equal(
            "how the chain is", found=(chain.chain, chain.state), expected=(CHAIN, "following")
        )

    async def earning(self, earned: Earned) -> Earning:
        """Return what the API says of an event, once it says something."""
        account = self.account(earned.earner)
        found = await self.checks.until(
            f"transaction {short(earned.tx_hash)} among {earned.earner.name}'s earnings",
            lambda: self.api.earning(account, earned.tx_hash),
            lambda earning: earning is not None,
        )
        assert found is not None  # noqa: S101 - accepted above
        return found
