"""The functions are laid anew while apps charge: no charge fails, and none waits long."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from guards import Without
from proof_of_the_books import assert_sound
from sqlalchemy import Connection
from stage import Stage

from ledger.errors import LedgerBusy
from ledger.granting import Granting
from ledger.ids import AccountRef, MovementRef
from ledger.laying import lay_functions
from ledger.migrate import migrate
from ledger.outcomes import Charged, Granted, Refunded
from ledger.spending import Spending

HERE = Path(__file__).parent
MIGRATE = "import sys; from ledger.migrate import migrate; migrate(sys.argv[1])"
WORKERS = 6
MIGRATIONS = 1
PAUSE_SECONDS = 0.002
WAIT_MS_MAX = 1_000  # on a machine that is busy with tests; alone it is under 100
WAITS_MIN = 100
HELD_SECONDS = 3.0


@dataclass
class Load:
    """Apps that charge all the time, on sessions old and new, and how long each had to wait."""

    stage: Stage
    accounts: list[AccountRef]
    waits: list[float] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    is_over: bool = False

    async def work(self, spending: Spending, number: int) -> None:
        made = 0
        while not self.is_over:
            made += 1
            began = time.perf_counter()
            try:
                account = self.accounts[made % len(self.accounts)]
                await self._charge(spending, f"{number}-{made}", account)
            except Exception as error:  # noqa: BLE001 - each is counted
                self.failures.append(error)
            self.waits.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _charge(self, spending: Spending, key: str, account: AccountRef) -> None:
        app_id = self.stage.app_id
        outcome = await spending.charge(
            app_id=app_id, account=account, key=key, operation="unit", units=3
        )
        assert isinstance(outcome, Charged)
        if key.endswith("0"):
            back = await spending.refund(
                app_id=app_id, charge=outcome.charge.movement, key=f"{key} back", amount=2
            )
            assert isinstance(back, Refunded)

    def assert_undisturbed(self) -> None:
        assert self.failures == []
        assert len(self.waits) > WAITS_MIN
        longest = 1000 * max(self.waits)
        print(f"{len(self.waits)} charges, longest wait {longest:.0f} ms")  # noqa: T201
        assert longest < WAIT_MS_MAX


@asynccontextmanager
async def load_on(stage: Stage) -> AsyncIterator[Load]:
    load = Load(stage, [stage.account(f"{n}", *[500] * 100) for n in range(4)])
    async with Spending.open(stage.database_url) as spending:
        working = [asyncio.create_task(load.work(spending, n)) for n in range(WORKERS)]
        await asyncio.sleep(0.3)
        load.waits.clear()
        yield load
        load.is_over = True
        await asyncio.gather(*working)


async def migrate_elsewhere(database_url: str) -> float:
    """Migrate in another process, so that only the database is shared. Returns the seconds."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MIGRATE, database_url),
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stderr=subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    return time.perf_counter() - began


def same_release(stage: Stage) -> None:
    """Nothing is changed before the migration."""


def another_release(stage: Stage) -> None:
    """Functions have another text, and there is one that this release does not know."""
    stage.rows("update creditd.release set functions = 'of another release'")
    stage.rows(
        "create function creditd.gone(a creditd.account) returns bigint language sql"
        " return creditd.spendable(a, null)"
    )
    stage.rows(
        "create or replace function creditd.expire_idle(p_limit integer) returns integer"
        " language plpgsql as $$ begin return 0; end $$"
    )


def irreplaceable_functions(stage: Stage) -> None:
    """A function gives something else: all must be laid anew."""
    stage.rows("drop function creditd.expire_idle")
    stage.rows(
        "create function creditd.expire_idle(p_limit integer) returns text language sql return ''"
    )


def irreplaceable_types(stage: Stage) -> None:
    """A type has another shape: all must be laid anew."""
    stage.rows("alter type creditd.charge_outcome add attribute more text")


def older_tables(stage: Stage) -> None:
    """The tables are those of many versions before, and so is what refunds do with them.

    But entries, prices and what is counted of API keys stay: what is charged meanwhile by this
    release needs them.
    """
    Without("finish", "perform note_unbacked(a.root_id, a.account_id, p_refers)", "null")(stage)
    stage.rows("alter table creditd.charge_cause drop column unbacked")
    stage.rows("drop table creditd.status_change")
    stage.rows(
        "drop table creditd.accepted_reorg, creditd.upstream_status, creditd.alarm,"
        " creditd.rereading, creditd.audited, creditd.differing_stake cascade"
    )
    stage.rows(
        "alter table creditd.chain drop column parted_number, drop column other_hash,"
        " drop column indexed_at,"
        " drop column cursor_alarm_seconds, drop column finality_alarm_seconds,"
        " drop column head_alarm_seconds"
    )
    stage.rows(
        "alter table creditd.event add constraint event_earns_by_a_rule"
        " foreign key (rule_id) references creditd.rule"
    )
    stage.rows("drop table creditd.waiting_event, creditd.stake cascade")
    stage.rows("alter table creditd.chain drop column accruing_number")
    stage.rows(
        "alter table creditd.rule drop column divisor cascade, drop column rates_from cascade,"
        " drop column rates_micro cascade, drop column period_seconds cascade,"
        " drop column hold_seconds cascade,"
        " drop column accrued_to cascade, drop column accruing_after cascade,"
        " drop column total_said cascade, drop column asked_after cascade,"
        " drop column is_left cascade"
    )
    stage.rows(
        "drop table creditd.challenge, creditd.sign_in, creditd.wallet_proof,"
        " creditd.consent, creditd.operator_act cascade"
    )
    stage.rows("alter table creditd.account_name drop column is_organisation cascade")
    stage.rows("drop index creditd.account_name_by_account")
    stage.rows(
        "alter table creditd.price drop constraint price_model_is_short,"
        " drop constraint price_ends_after_it_begins, drop constraint price_tiers_are_whole"
    )
    stage.rows(
        "alter table creditd.api_key drop constraint api_key_kind_is_known,"
        " drop constraint personal_api_key_has_its_account,"
        " drop constraint api_key_rate_is_in_range,"
        " drop constraint api_key_says_what_it_was_asked_for"
    )
    stage.rows("update creditd.schema_version set version_num = '0002'")


BEFORE = [
    *(same_release, another_release, irreplaceable_functions, irreplaceable_types),
    older_tables,
]
_FUNCTIONS: LiteralString = """
select p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proacl::text from pg_proc p
where p.pronamespace = 'creditd'::regnamespace order by 1"""


@pytest.mark.parametrize("before", BEFORE)
def test_charges_go_on_while_the_functions_are_laid_anew(
    database_url: str, before: Callable[[Stage], None]
) -> None:
    async def main(stage: Stage) -> Load:
        async with load_on(stage) as load:
            for _ in range(MIGRATIONS):
                before(stage)
                await migrate_elsewhere(database_url)
        return load

    with Stage.on(database_url) as stage:
        functions = stage.rows(_FUNCTIONS)
        load = asyncio.run(main(stage))
        assert stage.rows(_FUNCTIONS) == functions
        assert stage.rows("select count(*) from creditd.status_change") == [(0,)]
    load.assert_undisturbed()
    assert_sound(database_url)


def test_a_migration_of_functions_waits_for_nobody(database_url: str) -> None:
    async def main(stage: Stage) -> Load:
        async with load_on(stage) as load:
            with psycopg.connect(database_url) as writer, psycopg.connect(database_url) as reader:
                writer.execute("lock table creditd.entry in row exclusive mode")
                reader.execute("select count(*) from creditd.entry")
                for before in BEFORE[:3]:
                    before(stage)
                    await migrate_elsewhere(database_url)
        return load

    with Stage.on(database_url) as stage:
        load = asyncio.run(main(stage))
    load.assert_undisturbed()


def test_a_migration_that_needs_a_table_lets_charges_pass_until_it_is_free(
    database_url: str,
) -> None:
    async def main(stage: Stage) -> Load:
        stage.rows("alter table creditd.entry disable trigger entry_is_append_only")
        async with load_on(stage) as load:
            with psycopg.connect(database_url) as writer:
                writer.execute("lock table creditd.entry in row exclusive mode")
                migrating = asyncio.create_task(migrate_elsewhere(database_url))
                done, _ = await asyncio.wait([migrating], timeout=HELD_SECONDS)
                assert not done
            await migrating
        return load

    with Stage.on(database_url) as stage:
        load = asyncio.run(main(stage))
        with pytest.raises(psycopg.DatabaseError, match="never changed"):
            stage.rows("delete from creditd.entry")
    load.assert_undisturbed()


def test_a_migration_that_never_gets_its_table_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.migrate.TRIES_MAX", 2)
    with Stage.on(database_url) as stage, psycopg.connect(database_url) as writer:
        stage.rows("alter table creditd.entry disable trigger entry_is_append_only")
        writer.execute("lock table creditd.entry in row exclusive mode")
        with pytest.raises(LedgerBusy, match="another session holds"):
            migrate(database_url)


_UNBACKED: LiteralString = "select seq, granted, unbacked from creditd.charge_cause order by seq"


@asynccontextmanager
async def charges_with_cashback(
    stage: Stage, *refunds: int
) -> AsyncIterator[tuple[Spending, list[MovementRef]]]:
    """Charges of 100 that each caused 40, and of which so much was refunded then."""
    account = stage.account("a", 10_000)
    app_id = stage.app_id
    async with Spending.open(stage.database_url) as spending:
        charges = []
        for number in range(len(refunds)):
            key = f"{number}"
            outcome = await spending.charge(
                app_id=app_id, account=account, key=key, operation="unit", units=100
            )
            assert isinstance(outcome, Charged)
            charges.append(outcome.charge.movement)
            async with Granting.open(stage.database_url) as granting:
                granted = await granting.grant(
                    account=account, source="promotional", amount=40, key=key, cause=charges[-1]
                )
                assert isinstance(granted, Granted)
        for charge, refunded in zip(charges, refunds, strict=True):
            for part in (refunded // 3, refunded - refunded // 3):
                if part:
                    back = await spending.refund(
                        app_id=app_id, charge=charge, key=f"{charge} {part}", amount=part
                    )
                    assert isinstance(back, Refunded)
        yield spending, charges


def test_a_migration_counts_what_earlier_refunds_have_left_unbacked(database_url: str) -> None:
    async def main(stage: Stage) -> None:
        async with charges_with_cashback(stage, 0, 20, 21, 60, 100):
            pass

    with Stage.on(database_url) as stage:
        asyncio.run(main(stage))
        counted = stage.rows(_UNBACKED)
        assert [unbacked for _, _, unbacked in counted] == [0, 0, 1, 20, 40]
        older_tables(stage)
        migrate(database_url)
        assert stage.rows(_UNBACKED) == counted
    assert_sound(database_url)


def test_a_refund_that_waits_for_a_migration_counts_what_it_leaves_unbacked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables_are_made, somebody_waits = threading.Event(), threading.Event()

    def lay_then(connection: Connection, files: Sequence[Path]) -> None:
        tables_are_made.set()
        assert somebody_waits.wait(HELD_SECONDS)
        lay_functions(connection, files)

    async def main(stage: Stage) -> None:
        async with charges_with_cashback(stage, 0) as (spending, (charge,)):
            older_tables(stage)
            migrating = asyncio.create_task(asyncio.to_thread(migrate, database_url))
            assert await asyncio.to_thread(tables_are_made.wait, HELD_SECONDS)
            refunding = asyncio.create_task(
                spending.refund(app_id=stage.app_id, charge=charge, key="late", amount=None)
            )
            while stage.rows("select pid from pg_locks where not granted") == []:
                done, _ = await asyncio.wait([refunding], timeout=PAUSE_SECONDS)
                assert not done
            somebody_waits.set()
            await migrating
            assert isinstance(await refunding, Refunded)

    monkeypatch.setattr("ledger.migrate.lay_functions", lay_then)
    with Stage.on(database_url) as stage:
        asyncio.run(main(stage))
        assert [unbacked for _, _, unbacked in stage.rows(_UNBACKED)] == [40]
    assert_sound(database_url)
