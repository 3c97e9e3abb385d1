"""The story through the front doors alone: a real chain, `creditd watch` and `creditd serve` as
programs, HTTP. With reorgs of pending blocks, and deeper than confirmation in both modes."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import httpx2
import pytest
from command_line import Said, creditd, free_port

from daemon.chain.rpc import Node
from daemon.demo.checks import Checks
from daemon.demo.doors import Api, Earning
from daemon.demo.terms import CONFIRMATIONS, REPORT, TOKEN, prices_path, write_terms
from daemon.demo.town import Earner, Town
from daemon.processes.anvil import Anvil
from daemon.processes.children import child

pytestmark = pytest.mark.anvil


@dataclass(frozen=True)
class Place:
    """A running creditd and the chain it follows."""

    node: Node
    town: Town
    api: Api
    http: httpx2.AsyncClient
    checks: Checks
    said: Callable[..., Said]  # by a command of this creditd

    async def account(self, earner: Earner) -> str:
        return await self.api.open_wallet(self.town.chain_id, earner.address)

    async def charge(self, account: str, key: str, units: int = 1) -> httpx2.Response:
        return await self.http.post(
            "/v1/charges",
            json={"account": account, "operation": REPORT, "units": units},
            headers={"Idempotency-Key": key},
        )

    async def earning_is(self, account: str, *states: str) -> list[Earning]:
        """Wait until the account's earnings, newest first, are in these states."""
        return await self.checks.until(
            f"earnings {states}",
            lambda: self.api.earnings(account),
            lambda found: [each.state for each in found] == list(states),
        )

    async def chain_is(self, state: str) -> str | None:
        """Wait until the chain is in a state and has read what there is; return its reason."""
        head = await self.town.head_number()
        (chain,) = await self.checks.until(
            f"chain {state}",
            self.api.chains,
            lambda found: (
                [each.state for each in found] == [state]
                and (state == "halted" or found[0].indexed_number == head)
            ),
        )
        return chain.reason

    async def snapshot(self) -> object:
        return await self.node.call("evm_snapshot")

    async def go_back_to(self, snapshot: object) -> None:
        """Forget the blocks since, and make sure that those mined next are others."""
        assert await self.node.call("evm_revert", snapshot)
        await self.node.call("anvil_setCoinbase", "0x" + "c0" * 20)

    async def add_blocks(self, count: int) -> None:
        for _ in range(count):
            await self.town.add_block()


@asynccontextmanager
async def opened(database_url: str, folder: Path, mode: str) -> AsyncIterator[Place]:
    checks = Checks(lambda: ())
    async with Anvil.start() as anvil, Node(anvil.url) as node:
        town = await Town.build(node, checks)
        port = free_port()
        config = write_terms(
            folder,
            api_port=port,
            chain_id=town.chain_id,
            rpc_url=anvil.url,
            staking=town.staking.address,
            mineable=town.mineable.address,
            from_block=town.staking.block_number,
        )
        text = config.read_text(encoding="utf-8")
        config.write_text(
            text.replace("poll_ms = 200", f'poll_ms = 100\non_deep_reorg = "{mode}"'),
            encoding="utf-8",
        )
        environ = {**os.environ, "DATABASE_URL": database_url}
        said = partial(creditd, "--config", config, database_url=database_url)
        assert said("prices", "apply", prices_path(config)).code == 0
        made = said("key", "create", "--app", "story", "--json").json
        headers = {"Authorization": f"Bearer {made['key']}"}
        async with (
            child(["--config", str(config), "watch"], environ),
            child(["--config", str(config), "serve"], environ),
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http,
        ):
            api = Api(http)
            await checks.until("the API to listen", api.is_ready, bool)
            yield Place(node, town, api, http, checks, said)


def tell(
    database_url: str, folder: Path, story: Callable[[Place], Awaitable[None]], mode: str = "halt"
) -> None:
    """Run a story; when its programs have ended, the books must balance."""

    async def main() -> None:
        async with opened(database_url, folder, mode) as place:
            await story(place)
        assert place.said("audit").code == 0

    asyncio.run(main())


async def spend_all(place: Place, account: str) -> Decimal:
    """Charge until a 402, and return what was spent."""
    before = (await place.api.balance(account)).available
    number = 0
    while (await place.charge(account, f"spend-{number}")).status_code == 201:
        number += 1
    return before - (await place.api.balance(account)).available


def test_earned_credits_are_spent_until_402_and_again_after_more_is_earned(
    database_url: str, tmp_path: Path
) -> None:
    async def story(place: Place) -> None:
        ada = place.town.earners[0]
        account = await place.account(ada)
        await place.town.stake(ada, 2 * TOKEN)
        (pending,) = await place.earning_is(account, "pending")
        assert (pending.confirmations, pending.confirmations_needed) == (0, CONFIRMATIONS)
        assert (await place.charge(account, "early")).status_code == 402
        await place.add_blocks(CONFIRMATIONS - 1)
        await place.chain_is("following")
        assert [each.state for each in await place.api.earnings(account)] == ["pending"]
        await place.add_blocks(1)
        await place.earning_is(account, "confirmed")
        assert (await place.api.balance(account)).available == 20

        assert (await place.charge(account, "early")).status_code == 201
        assert (await place.charge(account, "second")).status_code == 201
        refused = await place.charge(account, "third")
        assert refused.status_code == 402
        problem = refused.json()
        assert (problem["required"], problem["available"], problem["missing"]) == (
            "8",
            "4",
            "4",
        )
        await place.town.mine(ada)
        await place.add_blocks(CONFIRMATIONS)
        await place.earning_is(account, "confirmed", "confirmed")
        assert (await place.charge(account, "third")).status_code == 201
        again = await place.charge(account, "third")
        assert again.headers["Idempotent-Replayed"] == "true"
        other_body = await place.charge(account, "third", units=2)
        assert other_body.status_code == 422
        assert (await place.api.balance(account)).available == 6
        assert place.said("status").code == 0

    tell(database_url, tmp_path, story)


def test_pending_events_follow_the_canonical_chain(database_url: str, tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        ada, ben, _ = place.town.earners
        adas, bens = await place.account(ada), await place.account(ben)
        before = await place.snapshot()
        await place.town.stake(ada, TOKEN)
        await place.add_blocks(2)
        await place.earning_is(adas, "pending")
        await place.go_back_to(before)
        await place.town.stake(ben, TOKEN)
        await place.add_blocks(3)
        await place.earning_is(bens, "pending")
        await place.earning_is(adas)
        await place.add_blocks(CONFIRMATIONS)
        await place.earning_is(bens, "confirmed")
        assert (await place.api.balance(bens)).granted == 10
        assert (await place.api.balance(adas)).granted == 0

    tell(database_url, tmp_path, story)


def test_a_reorg_past_confirmation_halts_grants_until_the_old_chain_is_back(
    database_url: str, tmp_path: Path
) -> None:
    async def story(place: Place) -> None:
        ada, ben, _ = place.town.earners
        adas, bens = await place.account(ada), await place.account(ben)
        before = await place.snapshot()
        await place.town.stake(ada, TOKEN)
        await place.add_blocks(CONFIRMATIONS + 1)
        await place.earning_is(adas, "confirmed")
        await place.chain_is("following")

        await place.go_back_to(before)
        await place.town.stake(ben, TOKEN)
        await place.add_blocks(2 * CONFIRMATIONS)
        reason = await place.chain_is("halted")
        assert reason is not None
        assert "was confirmed" in reason
        assert [each.state for each in await place.api.earnings(adas)] == ["confirmed"]
        assert await place.api.earnings(bens) == []
        # What was granted can be spent: the halt is of grants.
        assert (await place.charge(adas, "during")).status_code == 201
        assert place.said("status").code == 1

    tell(database_url, tmp_path, story)


def test_a_chain_set_to_reverse_takes_back_what_is_left_and_notes_the_rest_as_debt(
    database_url: str, tmp_path: Path
) -> None:
    async def story(place: Place) -> None:
        ada = place.town.earners[0]
        account = await place.account(ada)
        before = await place.snapshot()
        await place.town.stake(ada, 2 * TOKEN)
        await place.add_blocks(CONFIRMATIONS + 1)
        await place.earning_is(account, "confirmed")
        assert await spend_all(place, account) == 16

        await place.go_back_to(before)
        await place.add_blocks(3 * CONFIRMATIONS)
        await place.earning_is(account, "reversed")
        await place.chain_is("following")
        balance = await place.api.balance(account)
        assert (balance.available, balance.debt) == (Decimal(0), Decimal(16))

        await place.town.stake(ada, 3 * TOKEN)
        await place.add_blocks(CONFIRMATIONS)
        await place.earning_is(account, "confirmed", "reversed")
        balance = await place.api.balance(account)
        assert (balance.available, balance.debt) == (Decimal(14), Decimal(0))

    tell(database_url, tmp_path, story, "reverse")
