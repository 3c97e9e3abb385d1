"""Many callers at once, in many processes: no overspend, and one accepted key is one deduction."""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from conftest import earn
from followed_chain import Earned, FollowedChain
from selling_app import SellingApp

from ledger.audit import audit, render
from ledger.ids import AccountRef
from ledger.outcomes import Charged, Insufficient, KeyReused, MoreThanTaken, Refunded
from ledger.spending import Spending

ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
CAROL = b"\xc0" * 20
PROCESSES = 4
HERE = Path(__file__).parent

Job = Mapping[str, Sequence[Sequence[object]]]
Outcome = dict[str, Any]


async def books_balance(database_url: str) -> None:
    report = await audit(database_url)
    assert report.balanced, render(report)


@asynccontextmanager
async def charger(database_url: str) -> AsyncIterator[Process]:
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "charger.py"), database_url),
        env=environ,
        stdin=PIPE,
        stdout=PIPE,
        limit=2**22,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def at_once(
    database_url: str, app: SellingApp, account: AccountRef, jobs: Sequence[Job]
) -> list[Outcome]:
    """Let a process for each job begin at the same moment; return all outcomes."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(charger(database_url)) for _ in jobs]
        for process, job in zip(processes, jobs, strict=True):
            assert process.stdin is not None
            told = {"app_id": app.app_id, **account._asdict(), "charges": [], "refunds": [], **job}
            process.stdin.write(json.dumps(told).encode() + b"\n")
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        answers = [(await process.communicate())[0] for process in processes]
        return [outcome for answer in answers for outcome in json.loads(answer)]


def test_two_hundred_charges_of_four_processes_on_credits_for_a_hundred(database_url: str) -> None:
    earn(database_url, ALICE, 100)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            jobs = [
                {"charges": [(f"{process}-{number}", 1) for number in range(50)]}
                for process in range(PROCESSES)
            ]
            outcomes = await at_once(database_url, app, account, jobs)
            assert Counter(outcome["is"] for outcome in outcomes) == {
                "charged": 100,
                "Insufficient": 100,
            }
            assert all(
                (outcome["required"], outcome["available"], outcome["debt"]) == (1, 0, 0)
                for outcome in outcomes
                if outcome["is"] == "Insufficient"
            )
            left = sorted(outcome["answer"][2] for outcome in outcomes if "answer" in outcome)
            assert left == list(range(100))
            balance = await app.has(account)
            assert (balance.available, balance.spent) == (0, 100)
        await books_balance(database_url)

    asyncio.run(main())


def test_charges_of_many_sizes_take_what_is_there_and_never_more(database_url: str) -> None:
    for _ in range(7):
        earn(database_url, ALICE, 100)  # a grant each, so that charges cross them
    rng = random.Random(7)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            jobs = [
                {"charges": [(f"{process}-{number}", rng.randint(1, 40)) for number in range(30)]}
                for process in range(PROCESSES)
            ]
            outcomes = await at_once(database_url, app, account, jobs)
            taken = sum(outcome["answer"][1] for outcome in outcomes if "answer" in outcome)
            balance = await app.has(account)
            assert (balance.available, balance.spent) == (700 - taken, taken)
            refused = [outcome for outcome in outcomes if outcome["is"] == "Insufficient"]
            assert refused
            assert all(outcome["required"] > outcome["available"] for outcome in refused)
            assert balance.available < max(outcome["required"] for outcome in refused)
        await books_balance(database_url)

    asyncio.run(main())


def test_one_key_from_everywhere_at_once_is_taken_once_and_answered_alike(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 1_000)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            jobs = [{"charges": [("the key", 30)] * 25} for _ in range(PROCESSES)]
            outcomes = await at_once(database_url, app, account, jobs)
            assert len(outcomes) == 25 * PROCESSES
            assert {outcome["is"] for outcome in outcomes} == {"charged"}
            assert len({tuple(outcome["answer"]) for outcome in outcomes}) == 1
            assert sum(not outcome["replayed"] for outcome in outcomes) == 1
            assert (await app.has(account)).available == 970
        await books_balance(database_url)

    asyncio.run(main())


def test_of_several_requests_under_one_key_one_is_taken_and_the_others_are_refused(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 1_000)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            jobs = [{"charges": [("the key", units)] * 10} for units in (1, 2, 3, 4)]
            outcomes = await at_once(database_url, app, account, jobs)
            assert Counter(outcome["is"] for outcome in outcomes) == {
                "charged": 10,
                "KeyReused": 30,
            }
            (cost,) = {outcome["answer"][1] for outcome in outcomes if "answer" in outcome}
            assert (await app.has(account)).available == 1_000 - cost
        await books_balance(database_url)

    asyncio.run(main())


def test_a_refused_charge_leaves_its_key_free_and_an_accepted_one_does_not(
    database_url: str,
) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url) as chain,
            SellingApp.open(database_url) as app,
        ):
            account = await app.account_of(ALICE)

            async def insist() -> list[bool]:
                """Charge under the one key until it goes through; say which answers were new."""
                while True:
                    outcome = await app.spending.charge(
                        app_id=app.app_id, account=account, key="k", operation="unit", units=8
                    )
                    if isinstance(outcome, Charged):
                        return [not outcome.replayed]
                    assert isinstance(outcome, Insufficient)
                    assert outcome.available < outcome.required == 8

            callers = [asyncio.create_task(insist()) for _ in range(20)]
            for number in range(3):
                await chain.grow(Earned(ALICE, 5, f"tx {number}"))
                await chain.confirm()
            answers = await asyncio.gather(*callers)
            assert sum(new for (new,) in answers) == 1
            assert (await app.has(account)).available == 7
            other = await app.spending.charge(
                app_id=app.app_id, account=account, key="k", operation="unit", units=7
            )
            assert other == KeyReused()
        await books_balance(database_url)

    asyncio.run(main())


def test_refunds_at_once_give_back_what_was_taken_and_never_more(database_url: str) -> None:
    for _ in range(3):
        earn(database_url, ALICE, 10)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            charge = await app.sell(account, 25, "c")  # of three grants
            jobs: list[Job] = [
                {
                    "refunds": [(f"{process}-{number}", charge.seq, 1) for number in range(10)],
                    "charges": [(f"c-{process}-{number}", 1) for number in range(10)],
                }
                for process in range(PROCESSES)
            ]
            outcomes = await at_once(database_url, app, account, jobs)
            found = Counter(outcome["is"] for outcome in outcomes)
            assert found["refunded"] == 25
            assert found["MoreThanTaken"] == 15
            balance = await app.has(account)
            assert balance.available == 30 - found["charged"]
            again = await app.spending.refund(
                app_id=app.app_id, charge=charge, key="whole", amount=None
            )
            assert again == MoreThanTaken(0)
        await books_balance(database_url)

    asyncio.run(main())


def test_one_refund_from_everywhere_at_once_is_made_once_and_answered_alike(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 100)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            charge = await app.sell(account, 25, "c")
            jobs = [{"refunds": [("the key", charge.seq, None)] * 10} for _ in range(PROCESSES)]
            outcomes = await at_once(database_url, app, account, jobs)
            assert {outcome["is"] for outcome in outcomes} == {"refunded"}
            assert len({tuple(outcome["answer"]) for outcome in outcomes}) == 1
            assert sum(not outcome["replayed"] for outcome in outcomes) == 1
            assert (await app.has(account)).available == 100
        await books_balance(database_url)

    asyncio.run(main())


def test_charges_refunds_grants_and_reversals_of_one_account_do_not_block_each_other(
    database_url: str,
) -> None:
    rng = random.Random(11)
    wallets = (ALICE, BOB, CAROL)

    async def main() -> None:
        async with (
            FollowedChain.lead(database_url) as chain,
            SellingApp.open(database_url) as app,
            Spending.open(database_url) as other,
        ):
            accounts = [await app.account_of(wallet) for wallet in wallets]
            root = await chain.grow(*(Earned(wallet, 500, f"{wallet!r}") for wallet in wallets))
            await chain.confirm()
            over = asyncio.Event()
            refused = Counter[str]()

            async def spend(name: str, through: Spending) -> None:
                number = 0
                while not over.is_set():
                    number += 1
                    outcome = await through.charge(
                        app_id=app.app_id,
                        account=rng.choice(accounts),
                        key=f"{name}-{number}",
                        operation="unit",
                        units=rng.randint(1, 60),
                    )
                    refused[type(outcome).__name__] += 1
                    if isinstance(outcome, Charged) and rng.random() < 0.7:
                        back = await through.refund(
                            app_id=app.app_id,
                            charge=outcome.charge.movement,
                            key=f"r-{name}-{number}",
                            amount=None,
                        )
                        assert isinstance(back, Refunded)

            callers = [
                asyncio.create_task(spend(str(number), app.spending if number % 2 else other))
                for number in range(8)
            ]
            for number in range(60):
                await chain.grow(
                    *(Earned(wallet, 50, f"{number} {wallet!r}") for wallet in wallets),
                    fork=str(number),
                )
                await chain.confirm()
                if number % 3 == 2:
                    await chain.reverse(root)
            over.set()
            await asyncio.gather(*callers)
            assert refused["Charged"] > 20
        await books_balance(database_url)

    asyncio.run(main())
