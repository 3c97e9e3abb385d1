"""Looking up what is not one account's, and what a reader is told when the books do not answer."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from conftest import CHAIN_ID, run
from followed_chain import FIRST_BLOCK_TIME, FollowedChain
from selling_app import DIGEST, SellingApp
from town import Town

from ledger import connecting
from ledger.errors import LedgerBusy, LedgerUnavailable, SchemaMismatch
from ledger.granting import Granting
from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.outcomes import Granted
from ledger.price_book import PriceRow
from ledger.reading import SESSIONS_MAX, ChainRow, Reading

ALICE = b"\xa1" * 20


def test_operations_have_their_newest_price_that_is_in_force(database_url: str) -> None:
    async def main() -> None:
        async with (
            Operating.open(database_url) as operating,
            Reading.open(database_url) as reading,
        ):
            await operating.apply_prices([PriceRow("b", 1, 2, "call"), PriceRow("a", 3, 0, "page")])
            await operating.apply_prices([PriceRow("b", 1, 5, "call")])
            later = datetime.now(UTC) + timedelta(hours=1)
            await operating.apply_prices(
                [PriceRow("a", 3, 0, "page"), PriceRow("a", 9, 9, "page", effective_at=later)]
            )
            rows = await reading.prices()
            assert [
                (row.operation, row.version, row.terms.base_micro, row.terms.per_unit_micro)
                for row in rows
            ] == [("a", 1, 3, 0), ("a", 2, 9, 9), ("b", 2, 1, 5)]
            assert [row.is_in_force for row in rows] == [True, False, True]
            assert [row.ends_at for row in rows] == [later, None, None]

    asyncio.run(main())


def test_a_grant_that_a_charge_caused_is_an_entry_without_an_event(database_url: str) -> None:
    async def main() -> None:
        async with (
            Town.open(database_url) as town,
            Granting.open(database_url) as granting,
            Reading.open(database_url) as reading,
        ):
            user = await town.user()
            town.grant(user, 10)
            charged = await town.sell(user, 10, "k")
            cashback = await granting.grant(
                account=user,
                source="promotional",
                amount=5,
                key="k",
                cause=charged.charge.movement,
            )
            assert isinstance(cashback, Granted)
            entries = await reading.entries(user, before_seq=None, limit=10)
            assert [(entry.kind, entry.grant) for entry in entries] == [
                ("grant", None),
                ("charge", None),
                ("grant", None),
            ]

    asyncio.run(main())


def test_an_api_key_is_found_by_its_digest_alone(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            key = await app.reading.api_key(DIGEST)
            assert key is not None
            assert (key.app_id, key.app) == (app.app_id, "shop")
            assert key.scopes == {"charge:write", "balance:read"}
            assert (key.expires_at, key.revoked_at) == (None, None)
            assert await app.reading.api_key(bytes(32)) is None
            run(database_url, "update creditd.api_key set revoked_at = clock_timestamp()")
            revoked = await app.reading.api_key(DIGEST)
            assert revoked is not None
            assert revoked.revoked_at is not None

    asyncio.run(main())


def test_a_chain_tells_how_far_it_was_followed_and_what_was_undone(database_url: str) -> None:
    async def main() -> None:
        async with FollowedChain.lead(database_url) as chain, Reading.open(database_url) as reading:
            first = await chain.grow()
            await chain.grow(head_number=5)
            await chain.confirm(first)
            await chain.grow(head_number=5)
            await chain.drop(first)
            await chain.watching.see_head(9)
            (row,) = await reading.chains()
            assert row == ChainRow(
                chain_id=CHAIN_ID,
                name=f"chain-{CHAIN_ID}",
                state="syncing",
                reason=None,
                head_number=9,
                indexed_number=0,
                confirmed_number=0,
                indexed_time=datetime.fromtimestamp(FIRST_BLOCK_TIME, UTC),
                confirmed_time=datetime.fromtimestamp(FIRST_BLOCK_TIME, UTC),
                reorgs=1,
                last_reorg_at=row.last_reorg_at,
                last_reorg_depth=2,
                leader_seen_at=row.leader_seen_at,
            )
            assert row.last_reorg_at is not None
            await chain.watching.halt("block 7 does not prove")
            (row,) = await reading.chains()
            assert (row.state, row.reason) == ("halted", "block 7 does not prove")

    asyncio.run(main())


def test_an_app_reaches_only_accounts_that_were_opened_to_it(database_url: str) -> None:
    async def main() -> None:
        async with SellingApp.open(database_url) as app:
            account = await app.account_of(ALICE)
            assert await app.reading.reaches(app.app_id, account)
            assert not await app.reading.reaches(app.app_id + 1, account)
            assert not await app.reading.reaches(app.app_id, AccountRef(account.root_id, 7))

    asyncio.run(main())


def test_a_session_lost_between_two_questions_is_not_noticed(database_url: str) -> None:
    async def main() -> None:
        async with Reading.open(database_url) as reading:
            for _ in range(2):
                run(
                    database_url,
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()",
                )
                assert await reading.chains() == []

    asyncio.run(main())


def test_books_that_are_not_there_are_told_with_the_remedy(
    database_url: str, empty_database_url: str
) -> None:
    async def main() -> None:
        with pytest.raises(SchemaMismatch, match="creditd migrate"):
            async with Reading.open(empty_database_url):
                pass
        with pytest.raises(LedgerUnavailable, match="cannot be reached"):
            async with Reading.open("postgresql://nobody@127.0.0.1:9/books"):
                pass
        async with Reading.open(database_url) as reading:
            await reading.ready()
            run(database_url, "update creditd.release set functions = 'of another release'")
            with pytest.raises(SchemaMismatch, match="creditd migrate"):
                await reading.ready()
            run(database_url, "drop schema creditd cascade")
            with pytest.raises(SchemaMismatch, match="creditd migrate"):
                await reading.chains()

    asyncio.run(main())


def test_who_waits_too_long_for_a_session_is_told_to_come_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.connecting.LOCK_WAIT_SECONDS", 10)

    async def main() -> None:
        account = AccountRef(1, 1)
        async with Reading.open(database_url) as reading:
            with psycopg.connect(database_url) as owner:
                owner.execute("lock table creditd.account")
                asked = [
                    asyncio.create_task(reading.balance(account)) for _ in range(SESSIONS_MAX + 1)
                ]
                done, others = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                owner.rollback()
            assert [type(task.exception()) for task in done] == [LedgerBusy]
            assert await asyncio.gather(*others) == [None] * SESSIONS_MAX

    asyncio.run(main())


def test_a_question_that_is_stuck_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "READ_TIMEOUT_SECONDS", 1)

    async def main() -> None:
        async with Reading.open(database_url) as reading:
            with psycopg.connect(database_url) as owner:
                owner.execute("lock table creditd.account")
                with pytest.raises(LedgerUnavailable, match="did not answer"):
                    await reading.balance(AccountRef(1, 1))
                owner.rollback()
            assert await reading.balance(AccountRef(1, 1)) is None

    asyncio.run(main())


def test_the_readers_role_sees_balances_and_no_api_keys(database_url: str) -> None:
    async def main() -> None:
        async with (
            SellingApp.open(database_url) as app,
            Reading.open(database_url, role="creditd_reader") as reading,
        ):
            assert await reading.balance(await app.account_of(ALICE)) is not None
            with pytest.raises(SchemaMismatch, match="permission denied"):
                await reading.api_key(DIGEST)

    asyncio.run(main())
