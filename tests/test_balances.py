"""What an account has, at one moment, whatever comes and goes beneath it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from conftest import run
from followed_chain import FIRST_BLOCK_TIME, Earned, FollowedChain, source
from selling_app import SellingApp

from ledger import account_questions
from ledger.connecting import sqlalchemy_url
from ledger.ids import AccountRef
from ledger.outcomes import Insufficient
from ledger.reading import Balance

ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
DAY_SECONDS = 86_400
EVENTS_READ_MAX = 50

# For each event there is, thousands more: pending ones each of a wallet of its own.
MANY_MORE_EVENTS = """
insert into creditd.event (chain_id, tx_hash, ordinal, rule_id, block_number, block_hash,
  block_time, log_index, wallet, amount, credits, state, root_id, account_id, granted)
select chain_id, sha256(tx_hash || int4send(no)), 0, rule_id, block_number, block_hash,
  block_time, 0,
  case state when 'pending' then substr(sha256(int4send(no)), 1, 20) else wallet end,
  1, 1, state, root_id, account_id, granted
from creditd.event, generate_series(1, 5000) as no
"""


def available_in_the_row(database_url: str, account: AccountRef) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select available from creditd.account where root_id = %s and account_id = %s", account
        ).fetchone()
    assert row is not None
    return int(row[0])


def events_read(database_url: str, account: AccountRef) -> int:
    """How many events a balance looks at."""
    asked = str(
        account_questions.BALANCES.compile(dialect=sqlalchemy_url(database_url).get_dialect()())
    )
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("vacuum analyze")
        row = owner.execute(
            f"explain (analyze, format json) {asked}",
            {"roots": [account.root_id], "accounts": [account.account_id]},
        ).fetchone()
    assert row is not None
    return sum(
        node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        for node in nodes(row[0][0]["Plan"])
        if node.get("Relation Name") == "event"
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def test_a_seen_event_is_pending_until_it_is_confirmed_and_then_available(
    database_url: str,
) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 5, "one"), Earned(BOB, 70, "two"))
            await chain.grow(Earned(ALICE, 2, "three"))
            account = await app.account_of(ALICE)
            assert await app.has(account) == Balance(account, 0, 0, 7, 0, 0, 0, 0, frozen=False)
            assert await chain.confirm(chain.blocks[0]) == 2
            assert await app.has(account) == Balance(account, 5, 0, 2, 0, 5, 0, 1, frozen=False)
            await chain.confirm()
            assert await app.has(account) == Balance(account, 7, 0, 0, 0, 7, 0, 2, frozen=False)
            other = await app.account_of(b"\xcc" * 20)
            assert await app.has(other) == Balance(other, 0, 0, 0, 0, 0, 0, 0, frozen=False)

    asyncio.run(main())


def test_an_account_nobody_opened_has_no_balance(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            assert await app.reading.balance(AccountRef(account.root_id, 7)) is None
            assert await app.reading.balance(AccountRef(7, account.account_id)) is None

    asyncio.run(main())


def test_events_of_dropped_blocks_are_not_pending(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow(Earned(ALICE, 5, "one"))
            await chain.grow(Earned(ALICE, 30, "two"))
            await chain.drop(stays)
            assert (await app.has(await app.account_of(ALICE))).pending == 5

    asyncio.run(main())


def test_events_of_every_wallet_of_an_account_are_pending_for_it(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 5, "one"), Earned(BOB, 70, "two"))
            account, left = await app.account_of(ALICE), await app.account_of(BOB)
            await app.link(BOB, account)
            assert (await app.has(account)).pending == 75
            assert (await app.has(left)).pending == 0

    asyncio.run(main())


def test_an_event_that_comes_back_is_pending_for_the_account_it_was_granted_to(
    database_url: str,
) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            await chain.reverse(stays)
            account, other = await app.account_of(ALICE), await app.account_of(BOB)
            assert await app.has(account) == Balance(account, 0, 0, 0, 0, 5, 0, 2, frozen=False)
            await app.link(ALICE, other)
            await chain.grow(Earned(ALICE, 5, "one"), Earned(ALICE, 30, "two"), fork="b")
            assert ((await app.has(account)).pending, (await app.has(other)).pending) == (5, 30)
            await chain.confirm()
            assert ((await app.has(account)).granted, (await app.has(other)).granted) == (10, 30)

    asyncio.run(main())


def test_pending_is_what_events_would_give_before_the_caps(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, rule=source(cap_account=4)) as chain,
            SellingApp.open(database_url) as app,
        ):
            await chain.grow(Earned(ALICE, 9, "one"))
            account = await app.account_of(ALICE)
            assert (await app.has(account)).pending == 9
            await chain.confirm()
            assert await app.has(account) == Balance(account, 4, 0, 0, 0, 4, 0, 1, frozen=False)

    asyncio.run(main())


def test_expired_credits_are_not_available_whether_posted_or_not(database_url: str) -> None:
    async def main() -> None:
        now = int(time.time())
        async with (
            FollowedChain.lead(database_url, rule=source(expires_days=1)) as chain,
            SellingApp.open(database_url) as app,
        ):
            await chain.grow(Earned(ALICE, 5, "old"), time=now - DAY_SECONDS)
            await chain.confirm()
            account = await app.account_of(ALICE)
            assert available_in_the_row(database_url, account) == 5
            assert (await app.has(account)).available == 0
            assert await chain.watching.expire_idle(10) == 1
            assert available_in_the_row(database_url, account) == 0
            assert (await app.has(account)).available == 0
            await chain.grow(Earned(ALICE, 30, "new"), time=now)
            await chain.confirm()
            assert (await app.has(account)).available == 30


def test_a_grant_posts_first_what_has_expired(database_url: str) -> None:
    async def main() -> None:
        now = int(time.time())
        async with (
            FollowedChain.lead(database_url, rule=source(expires_days=1)) as chain,
            SellingApp.open(database_url) as app,
        ):
            await chain.grow(Earned(ALICE, 5, "old"), time=now - DAY_SECONDS)
            await chain.grow(Earned(ALICE, 30, "new"), time=now)
            await chain.confirm()
            account = await app.account_of(ALICE)
            assert available_in_the_row(database_url, account) == 30

    asyncio.run(main())


def test_the_balance_is_what_a_charge_can_take(database_url: str) -> None:
    async def main() -> None:
        now = int(time.time())
        async with (
            FollowedChain.lead(database_url, rule=source(expires_days=1)) as chain,
            SellingApp.open(database_url) as app,
        ):
            await chain.grow(Earned(ALICE, 5, "old"), time=now - DAY_SECONDS)
            await chain.grow(Earned(ALICE, 30, "new"), time=now)
            await chain.confirm()
            account = await app.account_of(ALICE)
            available = (await app.has(account)).available
            refused = await app.spending.charge(
                app_id=app.app_id, account=account, key="a", operation="unit", units=available + 1
            )
            assert isinstance(refused, Insufficient)
            assert refused.available == available
            await app.sell(account, available, "b")
            assert (await app.has(account)).available == 0

    asyncio.run(main())


def test_what_was_spent_of_an_orphaned_grant_is_debt_and_repaid_first(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 10, "one"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            await app.sell(account, 4, "a")
            await chain.reverse(stays)
            assert await app.has(account) == Balance(account, 0, 0, 0, 4, 10, 4, 4, frozen=False)
            await chain.grow(Earned(ALICE, 3, "two"), fork="b")
            await chain.confirm()
            assert await app.has(account) == Balance(account, 0, 0, 0, 1, 13, 4, 6, frozen=False)
            await chain.grow(Earned(ALICE, 5, "three"), fork="b")
            await chain.confirm()
            assert await app.has(account) == Balance(account, 4, 0, 0, 0, 18, 4, 8, frozen=False)

    asyncio.run(main())


def test_a_refund_is_available_again_and_does_not_unsay_the_charge(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 10, "one"))
            await chain.confirm()
            account = await app.account_of(ALICE)
            charge = await app.sell(account, 6, "a")
            assert await app.has(account) == Balance(account, 4, 0, 0, 0, 10, 6, 2, frozen=False)
            await app.give_back(charge, 1, "b")
            assert await app.has(account) == Balance(account, 5, 0, 0, 0, 10, 6, 3, frozen=False)
            await app.give_back(charge, None, "c")
            assert await app.has(account) == Balance(account, 10, 0, 0, 0, 10, 6, 4, frozen=False)

    asyncio.run(main())


def test_a_frozen_account_says_so(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            run(database_url, "update creditd.account set status = 'frozen'")
            assert (await app.has(account)).frozen

    asyncio.run(main())


def test_a_balance_is_of_one_moment_while_events_are_confirmed(database_url: str) -> None:
    async def confirm_all(chain: FollowedChain) -> None:
        for block in chain.blocks:
            await chain.confirm(block)

    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            for number in range(60):
                await chain.grow(Earned(ALICE, 5, f"tx {number}"))
            account = await app.account_of(ALICE)
            confirming = asyncio.create_task(confirm_all(chain))
            seen = set()
            while not confirming.done():
                balance = await app.has(account)
                assert balance.pending + balance.granted == 300
                assert balance.available == balance.granted == 5 * balance.version
                seen.add(balance.version)
            await confirming
            assert len(seen) > 2

    asyncio.run(main())


def test_a_daily_cap_counts_each_day_by_itself(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url, rule=source(cap_account_day=10)) as chain,
            SellingApp.open(database_url) as app,
        ):
            for day in range(3):
                at = FIRST_BLOCK_TIME + day * DAY_SECONDS
                await chain.grow(
                    Earned(ALICE, 8, f"{day} a"), Earned(ALICE, 8, f"{day} b"), time=at
                )
            await chain.confirm()
            assert (await app.has(await app.account_of(ALICE))).granted == 30

    asyncio.run(main())


def test_an_event_that_comes_back_with_another_wallet_is_that_wallets(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            stays = await chain.grow()
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            await chain.reverse(stays)
            await chain.grow(Earned(BOB, 5, "one"), fork="b")
            bobs = await app.account_of(BOB)
            assert (await app.has(bobs)).pending == 5
            await chain.confirm()
            assert (await app.has(bobs)).available == 5
            assert (await app.has(await app.account_of(ALICE))).available == 0

    asyncio.run(main())


def test_a_balance_looks_at_no_event_but_its_own_pending_ones(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, SellingApp.open(database_url) as app:
            await chain.grow(Earned(ALICE, 5, "one"))
            await chain.confirm()
            await chain.grow(Earned(BOB, 7, "two"))
            run(database_url, MANY_MORE_EVENTS)
            account = await app.account_of(ALICE)
            assert events_read(database_url, account) < EVENTS_READ_MAX

    asyncio.run(main())
