"""Balances that two API processes remember, on one set of books."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from books import Books
from conftest import ASKED, earn, run
from followed_chain import Earned, FollowedChain
from live_api import CREDIT, LiveApi, live_api
from selling_app import SellingApp
from town import ALICE, Town

from ledger.balances import REMEMBERED_SECONDS, Balances
from ledger.changes import TOLD_MAX, Changes, _accounts, _messages
from ledger.ids import AccountRef, parse_account
from ledger.operator_acts import OperatorActs
from ledger.reading import Balance, Reading
from ledger.spending import Spending

WALLET = bytes.fromhex("11" * 20)
# On a machine that is busy with other tests.
SOON_SECONDS = 10.0


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[LiveApi, LiveApi]]:
    with live_api(database_url) as one, live_api(database_url) as other:
        yield one, other


def balance(api: LiveApi, account: str, **query: str) -> dict[str, object]:
    response = api.get(f"/v1/accounts/{account}/balance", **query)
    assert response.status_code == 200
    shown: dict[str, object] = response.json()
    assert response.headers["credits-version"] == str(shown["version"])
    return shown


def soon(holds: Callable[[], bool], seconds: float = SOON_SECONDS) -> float:
    """Wait until something holds, and return how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
    return time.monotonic() - began


def listeners(database_url: str) -> list[int]:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select pid from pg_stat_activity where query = 'listen creditd_changes'"
            " and datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall()
    return [pid for (pid,) in found]


def test_a_read_that_names_a_version_is_never_older(two: tuple[LiveApi, LiveApi]) -> None:
    earn(two[0].database_url, WALLET, 1000 * CREDIT)
    account = two[0].open_wallet(WALLET)
    for turn in range(60):
        writer, reader = two if turn % 2 else (two[1], two[0])
        balance(reader, account)
        charged = writer.charge(account, "report.render")
        version = charged.headers["credits-version"]
        shown = balance(reader, account, version=version)
        assert int(str(shown["version"])) >= int(version)
        assert shown["available"] == charged.json()["available"]
        # Whoever wrote sees it at once.
        assert balance(writer, account) == shown


def test_every_write_says_its_version(two: tuple[LiveApi, LiveApi]) -> None:
    one, other = two
    earn(one.database_url, WALLET, 1000 * CREDIT)
    account = one.open_wallet(WALLET)
    charge = one.charge(account, "report.render")
    asked = {"account": account, "operation": "report.render", "expires_in": 60}
    reserved = [one.post("/v1/reservations", asked) for _ in range(2)]
    names = [response.json()["id"] for response in reserved]
    answers = [
        charge,
        one.post(f"/v1/charges/{charge.json()['id']}/refund", {}),
        *reserved,
        one.post(f"/v1/reservations/{names[0]}/settle", {"amount": "3"}),
        one.post(f"/v1/reservations/{names[1]}/release", {}),
    ]
    versions = [int(answer.headers["credits-version"]) for answer in answers]
    assert versions[:4] == [2, 5, 3, 4]
    shown = balance(other, account, version=str(max(versions)))
    assert (shown["available"], shown["held"]) == ("997", "0")


def test_a_version_that_nobody_reached_is_refused(two: tuple[LiveApi, LiveApi]) -> None:
    account = two[0].post("/v1/accounts", {"name": "alice"}).json()["id"]
    response = two[0].get(f"/v1/accounts/{account}/balance", version="1")
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/version-ahead"
    assert balance(two[0], account, version="0")["version"] == 0


def test_what_another_process_writes_is_heard_of(two: tuple[LiveApi, LiveApi]) -> None:
    one, other = two
    earn(one.database_url, WALLET, 1000 * CREDIT)
    account = one.open_wallet(WALLET)
    took = []
    for _ in range(5):
        balance(other, account)
        left = one.charge(account, "report.render").json()["available"]
        took.append(soon(lambda left=left: balance(other, account)["available"] == left))  # type: ignore[misc]  # bound in this turn
    # Were nothing heard, each would last as long as a balance is remembered.
    assert sorted(took)[2] < REMEMBERED_SECONDS / 2


def test_what_the_watcher_writes_is_heard_of(database_url: str) -> None:
    async def main() -> None:
        async with (
            FollowedChain.lead(database_url) as chain,
            SellingApp.open(database_url) as app,
            Changes.open(database_url) as changes,
            Balances.open(app.reading, changes) as balances,
        ):
            account = await app.account_of(WALLET)
            await asyncio.wait_for(changes.listening.wait(), SOON_SECONDS)

            async def shows(**values: int) -> None:
                async with asyncio.timeout(SOON_SECONDS):
                    with balances.watching(account) as changed:
                        while True:
                            found = await balances.get(account)
                            assert found is not None
                            row = found.balance
                            if {name: getattr(row, name) for name in values} == values:
                                return
                            await changed.wait()
                            changed.clear()

            await shows(pending=0, available=0)
            stays = await chain.grow()
            block = await chain.grow(Earned(WALLET, 5, "one"))
            await shows(pending=5)
            await chain.drop(stays)
            await shows(pending=0)
            block = await chain.grow(Earned(WALLET, 5, "one"), fork="b")
            await shows(pending=5)
            await chain.confirm(block)
            await shows(pending=0, available=5)
            await chain.reverse(stays)
            await shows(pending=0, available=0)
            async with OperatorActs.open(database_url) as acts:
                await acts.set_frozen(account, frozen=True, signed=ASKED)
            await shows(frozen=True)

    asyncio.run(main())


def test_what_nobody_hears_of_is_believed_for_a_moment_only(database_url: str) -> None:
    earn(database_url, WALLET, CREDIT)

    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(WALLET)
            async with (
                Changes.open(database_url) as changes,
                Balances.open(app.reading, changes) as balances,
            ):
                await asyncio.wait_for(changes.listening.wait(), SOON_SECONDS)
                before = await balances.get(account)
                assert before is not None
                assert await balances.get(account) is before
                # `app` charges without telling anybody, as one that dies right after would.
                await app.sell(account, 1, "k")
                began = time.monotonic()
                while True:
                    found = await balances.get(account)
                    assert found is not None
                    if found.balance.version == 2:
                        break
                    assert time.monotonic() - began < REMEMBERED_SECONDS
                    await asyncio.sleep(0.05)

    asyncio.run(main())


def test_a_process_that_hears_nothing_remembers_nothing(two: tuple[LiveApi, LiveApi]) -> None:
    one, other = two
    earn(one.database_url, WALLET, 1000 * CREDIT)
    account = one.open_wallet(WALLET)
    soon(lambda: len(listeners(one.database_url)) == 2)
    for _ in range(3):
        balance(other, account)
        cut_off = listeners(one.database_url)
        for pid in cut_off:
            run(one.database_url, f"select pg_terminate_backend({pid})")
        left = one.charge(account, "report.render").json()["available"]
        took = soon(lambda left=left: balance(other, account)["available"] == left)  # type: ignore[misc]  # bound in this turn
        assert took < REMEMBERED_SECONDS
        soon(lambda: len(set(listeners(one.database_url)) - set(cut_off)) == 2)  # noqa: B023 - called in this turn


def test_a_balance_is_not_believed_beyond_the_end_of_a_grant(
    two: tuple[LiveApi, LiveApi],
) -> None:
    api = two[0]
    earn(api.database_url, WALLET, 7 * CREDIT)
    account = api.open_wallet(WALLET)
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    for table, column in (("lot", "expires_at"), ("account", "valid_until")):
        run(api.database_url, f"update creditd.{table} set {column} = '{ends}' where true")
    soon(lambda: balance(api, account)["available"] == "7" or datetime.now(UTC) >= ends)
    soon(lambda: datetime.now(UTC) >= ends)
    assert balance(api, account)["available"] == "0"


@pytest.mark.parametrize("seed", range(3))
def test_what_is_remembered_is_what_the_books_say_once_it_is_quiet(
    two: tuple[LiveApi, LiveApi], seed: int
) -> None:
    dice = random.Random(seed)
    wallets = [bytes([number]) * 20 for number in range(1, 5)]
    for wallet in wallets:
        earn(two[0].database_url, wallet, 200 * CREDIT)
    accounts = [two[0].open_wallet(wallet) for wallet in wallets]
    charges: list[str] = []
    reserved: list[str] = []
    for _ in range(60):
        api, account = dice.choice(two), dice.choice(accounts)
        match dice.randrange(7):
            case 0 | 1:
                charged = api.charge(account, "report.render", dice.randrange(1, 9))
                charges += [charged.json()["id"]] if charged.status_code == 201 else []
            case 2 if charges:
                api.post(f"/v1/charges/{dice.choice(charges)}/refund", {"amount": "1"})
            case 3:
                asked = {"account": account, "operation": "report.render", "expires_in": 60}
                held = api.post("/v1/reservations", asked)
                reserved += [held.json()["id"]] if held.status_code == 201 else []
            case 4 if reserved:
                how, body = dice.choice([("settle", {"amount": "1"}), ("release", {})])
                api.post(f"/v1/reservations/{dice.choice(reserved)}/{how}", body)
            case 5:
                earn(api.database_url, dice.choice(wallets), CREDIT)
            case _:
                balance(api, account)
    expected = asyncio.run(in_the_books(two[0].database_url, accounts))
    for api in two:
        # The last messages may be under way, but no longer than what is remembered lasts.
        soon(lambda: shown_by(api, accounts) == expected, REMEMBERED_SECONDS)  # noqa: B023 - as above


def shown_by(api: LiveApi, accounts: list[str]) -> list[tuple[object, ...]]:
    shown = [balance(api, account) for account in accounts]
    return [
        (row["version"], *(int(float(str(row[name])) * CREDIT) for name in ("available", "held")))
        for row in shown
    ]


async def in_the_books(database_url: str, accounts: list[str]) -> list[tuple[object, ...]]:
    async with Reading.open(database_url) as reading:
        rows = await reading.balances([parse_account(account) for account in accounts])
    return [
        (row.version, row.available, row.held)
        for row in map(rows.__getitem__, map(parse_account, accounts))
    ]


def test_an_account_that_is_opened_to_an_app_is_there_at_once(
    two: tuple[LiveApi, LiveApi],
) -> None:
    api = two[0]
    earn(api.database_url, WALLET, CREDIT)
    account = api.open_wallet(WALLET)
    balance(api, account)
    stranger = api.api_key(app="stranger")
    path = f"/v1/accounts/{account}/balance"
    assert api.request("GET", path, api_key=stranger).status_code == 404
    wallet = {"chain_id": 31337, "address": f"0x{WALLET.hex()}"}
    api.post("/v1/accounts", {"wallet": wallet}, api_key=stranger)
    assert api.request("GET", path, api_key=stranger).status_code == 200


def test_accounts_that_read_together_are_asked_for_together(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            accounts = [await app.account_of(bytes([number]) * 20) for number in range(20)]
            questions = []

            class Counted(Reading):
                async def balances(
                    self, accounts: Sequence[AccountRef]
                ) -> dict[AccountRef, Balance]:
                    questions.append(len(accounts))
                    return await super().balances(accounts)

            async with (
                Counted.open(database_url) as reading,
                Changes.open(database_url) as changes,
                Balances.open(reading, changes) as balances,
            ):
                await asyncio.wait_for(changes.listening.wait(), SOON_SECONDS)
                for _ in range(2):
                    found = await asyncio.gather(*(balances.get(each) for each in accounts * 3))
                    assert [each and each.balance.account for each in found] == accounts * 3
                assert sum(questions) == len(accounts)
                assert len(questions) <= 2

    asyncio.run(main())


def test_messages_name_each_account_once_and_stay_short() -> None:
    top = 2**62 - 1
    accounts = {AccountRef(top - number, top - 2 * number) for number in range(TOLD_MAX // 40)}
    messages = _messages(accounts)
    assert max(map(len, messages)) < 8000
    heard = [account for message in messages for account in _accounts(message) or []]
    assert len(heard) == len(accounts)
    assert set(heard) == accounts
    assert _accounts("*") is None


def test_the_books_name_accounts_as_processes_do(database_url: str) -> None:
    top = 2**62 - 1
    accounts = [AccountRef(top, top), AccountRef(7, 7), AccountRef(top, 5)]
    with (
        psycopg.connect(database_url, autocommit=True) as listening,
        Books.open(database_url) as books,
    ):
        listening.execute("listen creditd_changes")
        many = [AccountRef(number, top) for number in range(500)]
        told = [*accounts, *accounts, *many]
        books.rows(
            "select creditd.tell_changed(%s::bigint[], %s::bigint[])",
            [account.root_id for account in told],
            [account.account_id for account in told],
        )
        messages = [message.payload for message in listening.notifies(timeout=0.5)]
    assert max(map(len, messages)) < 8000
    heard = [account for message in messages for account in _accounts(message) or []]
    assert sorted(heard) == sorted([*accounts, *many])


def test_what_goes_on_to_another_account_is_told_of_that_one_too(database_url: str) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            Changes.open(database_url) as changes,
            Spending.open(database_url, changes=changes) as spending,
        ):
            wallet, user = await town.wallet(ALICE), await town.user()
            town.grant(wallet, 10)
            charged = await town.sell(wallet, 4, "key")
            await town.linked(ALICE, user)
            with psycopg.connect(database_url, autocommit=True) as listening:
                listening.execute("listen creditd_changes")
                await spending.refund(
                    app_id=town.app_id, charge=charged.charge.movement, key="refund", amount=None
                )
                # This holds up the event loop: what the process tells by itself comes later.
                messages = list(listening.notifies(timeout=SOON_SECONDS, stop_after=1))
            assert town.has(user) == (10, 0)
            assert [_accounts(message.payload) for message in messages] == [[user]]

    asyncio.run(main())


def test_what_could_not_be_told_for_whatever_reason_is_told_later(database_url: str) -> None:
    async def main() -> None:
        one, two = AccountRef(1, 1), AccountRef(2, 2)
        async with (
            Changes.open(database_url) as changes,
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner,
        ):
            await owner.execute("listen creditd_changes")
            await owner.execute("revoke execute on function pg_notify from public")
            changes.tell([one])
            await asyncio.gather(changes._send_untold(), return_exceptions=True)
            await owner.execute("grant execute on function pg_notify to public")
            changes.tell([two])
            heard: set[AccountRef] = set()
            async with asyncio.timeout(SOON_SECONDS):
                while heard < {one, two}:
                    async for message in owner.notifies(stop_after=1):
                        heard |= set(_accounts(message.payload) or [])

    asyncio.run(main())
