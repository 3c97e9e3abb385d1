"""Many events are granted in one go, and the books are as if each had been granted by itself."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
import pytest
from conftest import CHAIN_ID, GENESIS, fake_hash, fresh_database
from scene import until
from selling_app import SellingApp

from ledger.audit import audit, render
from ledger.granting import Granting, Terms
from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.outcomes import Charged
from ledger.watching import (
    EVENTS_AT_ONCE_MAX,
    ChainEntry,
    RuleEntry,
    SeenBlock,
    SeenEvent,
    Watching,
)

BEGIN: Final = 1_700_000_000
SEEDS = range(6)
# Which wallet is linked to a user before which turn: what it was granted before and loses to a
# reorg comes back to it, and goes on to the user.
LINKED_AT: Final = {2: 2, 4: 0, 6: 5}

# What the bulk is held against, laid by the owner of the books.
_ONE_BY_ONE: Final[LiteralString] = """
create or replace function creditd.grant_events(
  p_chain bigint, p_after bigint, p_to bigint, p_accruals_only boolean, p_waits boolean
) returns bigint language plpgsql set search_path = creditd, pg_temp as $$
declare v record; g record; n bigint := 0;
begin
  for v in select * from events_to_grant(p_chain, p_after, p_to, p_accruals_only, p_waits) x
    order by x.block_number, x.log_index, x.role
  loop
    perform lock_with_links(array[v.root], array[v.account]);
    select x.* into g from event e join rule r using (rule_id)
      cross join lateral grant_event(v.root, v.account, e, r) x where e.event_no = v.event_no;
    update event e set state = 'confirmed', root_id = v.root, account_id = v.account,
      lot_no = g.o_lot, granted = g.o_granted where e.event_no = v.event_no;
    n := n + 1;
  end loop;
  return n;
end $$
"""
# What both sides share, and what would differ by chance.
_SHARED: Final[tuple[LiteralString, ...]] = (
    "create schema creditd_test",
    "create table creditd_test.clock (at timestamptz not null)",
    "insert into creditd_test.clock values ('2100-01-01')",
    """create or replace function creditd.clock() returns timestamptz language sql volatile
    return (select c.at from creditd_test.clock c)""",
    # The numbers of accounts: what has moved is taken back in their order.
    "create sequence creditd_test.opened",
    """create or replace function creditd.new_id() returns bigint language sql volatile
    return hashint8extended(nextval('creditd_test.opened'), 7) & 4611686018427387903""",
)
_BOOKS: Final[tuple[LiteralString, ...]] = (
    """select coalesce(w.address::text, n.name), a.available, a.held, a.debt, a.granted, a.spent,
      a.reversed, a.owed, a.repaid, a.expired, a.recovered, a.absorbed, a.line, a.seq, a.status,
      a.is_special, a.last_at
    from creditd.account a left join creditd.wallet w using (root_id, account_id)
      left join creditd.account_name n using (root_id, account_id) order by 1""",
    """select coalesce(w.address::text, n.name), e.seq, e.kind, e.amount, e.available_after,
      e.held_after, e.debt_after, e.lot_no, e.movement, e.total, e.at
    from creditd.entry e left join creditd.wallet w using (root_id, account_id)
      left join creditd.account_name n using (root_id, account_id) order by 1, 2""",
    """select coalesce(w.address::text, n.name), l.lot_no, l.source, l.cause, l.incarnation,
      l.amount, case when l.lot_no = a.head_lot then a.head_left else l.remaining end, l.priority,
      l.expires_at::text, l.operations, l.cap_day, l.state, l.created_at
    from creditd.lot l join creditd.account a using (root_id, account_id)
      left join creditd.wallet w using (root_id, account_id)
      left join creditd.account_name n using (root_id, account_id) order by 1, 2""",
    "select tx_hash, state, incarnation, lot_no, granted from creditd.event order by 1",
    "select rule_id, day::text, granted from creditd.rule_use order by 1, 2",
    "select rule_id, day::text, granted from creditd.cap_use order by 1, 2, 3",
)

RULES: Final = (
    RuleEntry("plain", bytes(20), "e1", 0, None, None, None),
    RuleEntry("ending", bytes(20), "e2", 0, None, None, 40_000),
    RuleEntry("sooner", bytes(20), "e3", 0, None, None, 30_000, priority=100),
    RuleEntry("first", bytes(20), "e4", 0, None, None, None, priority=1, source="mining"),
    RuleEntry("over", bytes(20), "e5", 0, None, None, 3),
    RuleEntry("capped", bytes(20), "e6", 0, 900, 500, None),
    RuleEntry("shared", bytes(20), "e7", 0, None, None, None, cap_day=900, cap_total=3_000),
    RuleEntry("borne", bytes(20), "e8", 0, None, None, None, on_reversal="absorb"),
    RuleEntry("for one", bytes(20), "e9", 0, None, None, None, operations=("other",)),
)
RARE: Final = ("capped", "shared", "for one")


Log = tuple[bytes, str, int, str]  # wallet, rule, credits, transaction


@dataclass
class Backfill:
    """Blocks that are seen, and what of them is confirmed."""

    watching: Watching
    rules: dict[str, int]
    blocks: list[SeenBlock] = field(default_factory=list)
    logs: list[list[Log]] = field(default_factory=list)

    async def see(self, events: list[list[Log]], fork: str) -> None:
        """Append a block for each list of logs."""
        self.logs += events
        blocks, seen = [], []
        for logs in events:
            number = len(self.blocks)
            parent = self.blocks[-1].hash if self.blocks else bytes(32)
            block = SeenBlock(number, fake_hash(fork, number), parent, BEGIN + 3_000 * number)
            self.blocks.append(block)
            blocks.append(block)
            seen += [
                SeenEvent(
                    block_number=number,
                    tx_hash=fake_hash("tx", tx),
                    ordinal=0,
                    role=0,
                    log_index=place,
                    rule_id=self.rules[rule],
                    wallet=wallet,
                    amount=amount,
                    credits=amount,
                )
                for place, (wallet, rule, amount, tx) in enumerate(logs)
            ]
        await self.watching.append(
            head_number=len(self.blocks) - 1,
            blocks=blocks,
            events=seen,
            set_aside=[],
            confirm=None,
            remember=10_000,
        )

    async def confirm(self) -> list[int]:
        """Confirm all that is seen; return how many events each transaction confirmed."""
        counts = []
        last = self.blocks[-1]
        while (await self.watching.position()).confirmed_number < last.number:
            counts.append(
                await self.watching.append(
                    head_number=last.number,
                    blocks=[],
                    events=[],
                    set_aside=[],
                    confirm=(last.number, last.hash),
                    remember=10_000,
                )
            )
        return counts

    async def reverse(self, to: int) -> None:
        await self.watching.reverse(to)
        del self.blocks[to + 1 :], self.logs[to + 1 :]


def lead(database_url: str) -> Any:  # noqa: ANN401 - the type of it has no name
    chain = ChainEntry(CHAIN_ID, "bulk", GENESIS, 1, -1, bytes(32), 0)
    return Watching.lead(database_url, chain, "test")


async def follow(watching: Watching) -> Backfill:
    return Backfill(watching, await watching.enter_rules(RULES))


def wallet(number: int) -> bytes:
    return number.to_bytes(20)


async def live(database_url: str, rng: random.Random) -> None:
    """Blocks come, go and come back, while their credits are spent."""
    async with (
        lead(database_url) as watching,
        SellingApp.open(database_url) as app,
        Granting.open(database_url) as granting,
        Operating.open(database_url) as operating,
    ):
        chain = await follow(watching)
        accounts = [await app.account_of(wallet(n)) for n in range(8)]
        opened = await app.spending.open_account(app_id=app.app_id, name="user")
        charges = 0
        for turn in range(8):
            if turn in LINKED_AT:
                await app.link(wallet(LINKED_AT[turn]), opened.account)
            txs = [f"{turn} {n}" for n in range(rng.randint(1, 60))]
            logs = [a_log(rng, tx) for tx in txs]
            size = rng.randint(1, 25)
            await chain.see([logs[at : at + size] for at in range(0, len(logs), size)], f"a{turn}")
            await chain.confirm()
            for _ in range(rng.randint(0, 12)):
                charges += 1
                await spend(app, rng.choice(accounts), rng.randint(1, 400), f"c {charges}")
            if rng.random() < 0.3:
                await operating.set_overdraft(accounts[turn], 200)
            if rng.random() < 0.4:
                await granting.grant(
                    account=accounts[-1 - turn],
                    source="plan",
                    amount=rng.randint(1, 300),
                    key=f"g {turn}",
                    terms=Terms(priority=rng.choice((5, 100))),
                )
            if rng.random() < 0.6:
                last = len(chain.logs) - 1
                stays = max(0, last - rng.randint(1, 4))
                gone = [log for logs in chain.logs[stays + 1 :] for log in logs]
                await chain.reverse(stays)
                await chain.see([rng.sample(gone, len(gone) * 2 // 3)], f"b{turn}")


def a_log(rng: random.Random, tx: str) -> Log:
    name = rng.choice([rule.name for rule in RULES])
    if name in RARE and rng.random() < 0.6:  # most accounts are to be granted in bulk
        name = "plain"
    return wallet(rng.randrange(8)), name, rng.choice((0, 1, 50, 170, 400)), tx


async def spend(app: SellingApp, account: AccountRef, units: int, key: str) -> None:
    await app.spending.charge(
        app_id=app.app_id, account=account, key=key, operation="unit", units=units
    )


@contextmanager
def books(server_url: str, template: str, *laid: LiteralString) -> Iterator[str]:
    with fresh_database(server_url, template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (*_SHARED, *laid):
                connection.execute(statement)
        yield url


def told(database_url: str) -> list[list[tuple[Any, ...]]]:
    with psycopg.connect(database_url) as connection:
        return [connection.execute(statement).fetchall() for statement in _BOOKS]


async def promises_broken(database_url: str) -> list[str]:
    """What the audit finds; that functions were replaced here is no finding."""
    report = await audit(database_url)
    return [
        render(report)
        for check in report.checks
        if check.breaches and check.name != "functions_are_this_releases"
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_in_bulk_the_books_are_as_if_granted_one_by_one(
    server_url: str, template: str, seed: int
) -> None:
    with (
        books(server_url, template) as bulk,
        books(server_url, template, _ONE_BY_ONE) as one_by_one,
    ):
        for url in (bulk, one_by_one):
            asyncio.run(live(url, random.Random(seed)))
        for in_bulk, by_one in zip(told(bulk), told(one_by_one), strict=True):
            assert in_bulk == by_one
        assert asyncio.run(promises_broken(bulk)) == []


def many(count: int, of: str) -> list[Log]:
    return [(wallet(n % 7), "plain", 5, f"{of} {n}") for n in range(count)]


def test_many_events_are_confirmed_in_steps_of_whole_blocks(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.watching.RISE_SECONDS", 0)

    async def main() -> None:
        async with lead(database_url) as watching:
            chain = await follow(watching)
            await chain.see([many(75, str(number)) for number in range(30)], "a")
            # While nobody waits, each step is twice the one before.
            assert await chain.confirm() == [75, 75, 150, 375, 750, 825]
            too_many = many(EVENTS_AT_ONCE_MAX + 1, "too many")
            await chain.see([many(1, "few"), too_many, []], "a")
            assert await chain.confirm() == [1, len(too_many), 0]
        assert await promises_broken(database_url) == []

    asyncio.run(main())


def test_it_is_told_when_a_charge_has_waited(database_url: str) -> None:
    async def main() -> None:
        async with lead(database_url) as watching, SellingApp.open(database_url) as app:
            chain = await follow(watching)
            account = await app.account_of(wallet(1))
            await chain.see([[(wallet(1), "plain", 5, f"tx {n}")] for n in range(3)], "a")
            with psycopg.connect(database_url) as connection:

                def waiting() -> list[tuple[int]]:
                    return list(connection.execute("select pid from pg_locks where not granted"))

                def confirm(number: int, beside: int | None = None) -> tuple[int, bool, int]:
                    block = CHAIN_ID, watching.epoch, number, chain.blocks[number].hash
                    ask = "select * from creditd.confirm_blocks(%s, %s, %s, %s, 100, 100, %s)"
                    return connection.execute(ask, (*block, beside)).fetchall()[0]

                assert confirm(0) == (1, False, 0)
                charge = asyncio.create_task(app.sell(account, 1, "k"))
                await until("the charge waits", lambda: waiting() != [], 20)
                assert confirm(1, beside=waiting()[0][0]) == (1, False, 1)  # who goes on beside
                assert confirm(2) == (1, True, 2)
                connection.commit()
                await charge
        assert await promises_broken(database_url) == []

    asyncio.run(main())


def test_a_head_that_changes_while_a_grant_waits_is_compared_as_it_is_then(
    database_url: str,
) -> None:
    async def main() -> None:
        async with lead(database_url) as watching, SellingApp.open(database_url) as app:
            chain = await follow(watching)
            account = await app.account_of(wallet(1))
            await chain.see([[(wallet(1), "sooner", 2, "a"), (wallet(1), "plain", 5, "b")]], "a")
            await chain.confirm()
            await chain.see([[(wallet(1), "ending", 3, "c")]], "a")
            with psycopg.connect(database_url) as connection:

                def waits() -> bool:
                    return connection.execute("select from pg_locks where not granted").rowcount > 0

                # What ends first is used up, and what never ends comes to be the head.
                connection.execute(
                    "select creditd.charge_with_care(%s, %s, %s, gen_random_uuid(),"
                    " gen_random_uuid(), 3, (select operation_id from creditd.operation"
                    " where name = 'unit'), 3, 1, null, null)",
                    (*account, app.app_id),
                )
                confirming = asyncio.create_task(chain.confirm())
                await until("the grant waits", waits, 20)
                connection.commit()
                await confirming
        assert await promises_broken(database_url) == []

    asyncio.run(main())


@dataclass
class Sellers:
    """Several at once who charge as long as they are to."""

    app: SellingApp
    accounts: list[AccountRef]
    sold: int = 0
    done: bool = False

    async def sell(self, way: int) -> None:
        rng = random.Random(way)
        while not self.done:
            outcome = await self.app.spending.charge(
                app_id=self.app.app_id,
                account=rng.choice(self.accounts),
                key=str(rng.random()),
                operation="unit",
                units=rng.randint(1, 5),
            )
            self.sold += isinstance(outcome, Charged)


def test_charges_that_are_made_meanwhile_lose_nothing(database_url: str) -> None:
    async def main() -> None:
        names = ("plain", "ending", "sooner", "first")
        blocks = [
            [(wallet(n % 6), names[(n + number) % 4], 3, f"{number} {n}") for n in range(100)]
            for number in range(50)
        ]
        async with lead(database_url) as watching, SellingApp.open(database_url) as app:
            chain = await follow(watching)
            sellers = Sellers(app, [await app.account_of(wallet(n)) for n in range(6)])
            await chain.see(blocks, "a")
            async with asyncio.TaskGroup() as group:
                for way in range(4):
                    group.create_task(sellers.sell(way))
                assert sum(await chain.confirm()) == 5_000
                sellers.done = True
            assert sellers.sold > 0
        assert await promises_broken(database_url) == []

    asyncio.run(main())
