"""What an operator has to look at is an alarm, told when it begins and when it is over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from command_line import Said, creditd
from fakechain import Event
from fakenode import Faults, Status, serve
from receiver import KEY, receiving
from scene import ALICE, DEPTH, VAULT, Scene, scene, write_config

from contracts.catalogue import EVENTS
from daemon.configuration.config import Finalized, Receiver, SecretUrl
from daemon.jobs.alarms import AlarmTeller
from daemon.jobs.webhooks import delivering
from daemon.watching.follower import Follower
from ledger.alarms import Alarm, Alarms
from ledger.audit import audit
from ledger.reading import Reading

TOPICS = ("alarm.raised", "alarm.cleared")


@dataclass
class Watch:
    """Followers of a chain, and the job that tells of alarms."""

    here: Scene
    alarms: Alarms
    teller: AlarmTeller
    reading: Reading

    async def follow(self, follower: Follower) -> Follower:
        self.teller.followers = (*self.teller.followers, follower)
        await self.teller.turn()
        return follower

    async def raised(self) -> list[Alarm]:
        return await self.reading.alarms()

    async def kinds(self) -> list[str]:
        return [each.kind for each in await self.raised()]

    async def changes(self) -> list[tuple[str, bool]]:
        """What begins and what is over, since this was asked last."""
        return [(each.kind, each.begins) for each in await self.alarms.tell()]

    def later(self, seconds: int) -> None:
        """As if nothing had happened for so long."""
        self.here.books.rows(
            "with w as (update creditd.chain set leader_seen_at = leader_seen_at - s.s,"
            " indexed_at = indexed_at - s.s from (select make_interval(secs => %s) as s) s"
            " returning 1) select count(*) from w",
            seconds,
        )


@asynccontextmanager
async def watch(database_url: str) -> AsyncIterator[Watch]:
    async with (
        scene(database_url) as here,
        Alarms.open(database_url) as alarms,
        Reading.open(database_url) as reading,
    ):
        yield Watch(here, alarms, AlarmTeller(alarms, ()), reading)


def stakes_and_depth(here: Scene) -> None:
    here.chain.mine(here.stake(ALICE, 1))
    here.chain.mine_empty(DEPTH)


def test_a_chain_that_is_followed_alarms_nobody(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            await at.follow(await at.here.follow())
            assert await at.raised() == []
            assert await at.changes() == []

    asyncio.run(main())


def test_a_halted_chain_is_an_alarm_at_once_and_over_when_it_goes_on(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            follower = await at.follow(await at.here.follow())
            old = at.here.chain.branch
            at.here.chain.fork_from(0)
            at.here.chain.mine_empty(DEPTH + 5)
            await follower.turn()
            (alarm,) = await at.raised()
            assert (alarm.chain, alarm.kind) == ("town", "halted")
            assert "left block 1" in alarm.said
            assert alarm.remedy.startswith("creditd reorg show town")
            assert at.here.books.rows("select kind from creditd.alarm") == [("halted",)]
            assert await at.changes() == []  # told of as it halted
            at.here.chain.switch_to(old)
            await follower.turn()
            assert await at.raised() == []
            assert at.here.books.rows("select kind from creditd.alarm") == []

    asyncio.run(main())


def test_nobody_watching_is_an_alarm_told_by_whoever_stands_by(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            await at.follow(await at.here.follow())
            at.later(119)
            assert await at.kinds() == []
            at.later(3)
            assert await at.changes() == [("unwatched", True)]
            assert await at.changes() == []
            await at.teller.followers[0].turn()
            assert await at.changes() == [("unwatched", False)]

    asyncio.run(main())


def test_a_cursor_that_stands_still_below_the_head_is_an_alarm(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            follower = await at.follow(await at.here.follow())
            at.later(10_000)
            await follower.turn()  # it is alive, and there is nothing more to read
            assert await at.kinds() == []
            at.here.books.rows("update creditd.chain set head_number = 9 returning 1")
            assert await at.changes() == [("behind", True)]
            (alarm,) = await at.raised()
            assert "up to 9" in alarm.said
            at.here.chain.mine()
            await follower.turn()
            assert await at.changes() == [("behind", False)]

    asyncio.run(main())


def test_finality_that_stands_still_while_the_chain_grows_is_an_alarm(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            at.here.chain.mine()
            at.here.chain.finalize(1)
            settings = at.here.settings(confirmation=Finalized())
            follower = await at.here.stand_by(settings)
            await follower.turn()
            await at.follow(follower)
            at.here.chain.mine(seconds=settings.finality_alarm_seconds)
            await follower.turn()
            assert await at.changes() == []
            at.here.chain.mine(seconds=1)
            await follower.turn()
            assert await at.changes() == [("finality", True)]
            at.here.chain.finalize(2)
            await follower.turn()
            assert await at.changes() == [("finality", False)]

    asyncio.run(main())


def test_one_of_several_nodes_that_fails_for_a_minute_is_an_alarm(database_url: str) -> None:
    async def main() -> None:
        faults = Faults()
        async with watch(database_url) as at, serve(at.here.chain, faults) as url:
            at.here.other_urls.append(url)
            follower = await at.follow(await at.here.follow())
            at.here.faults.failures.extend([Status(503)] * 100)
            stakes_and_depth(at.here)
            await follower.turn()
            await at.teller.turn()
            assert await at.kinds() == []
            at.here.books.rows(
                "update creditd.upstream_status set since = since - interval '61 seconds'"
                " where trouble is not null returning 1"
            )
            assert await at.changes() == [("node", True)]
            (alarm,) = await at.raised()
            assert at.here.url in alarm.said
            assert url not in alarm.said
            assert "503" in alarm.said
            at.here.faults.failures.clear()
            follower._upstreams._all[0].rests_until = 0.0
            await follower.turn()
            await at.teller.turn()
            assert await at.kinds() == []

    asyncio.run(main())


def test_logs_set_aside_are_an_alarm(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            topic = EVENTS["staking-rewards.Staked"].topic0
            at.here.chain.mine(Event(VAULT, (topic,), b""))
            await at.follow(await at.here.follow())
            (alarm,) = await at.raised()
            assert (alarm.kind, alarm.said) == ("set_aside", "1 log(s) are set aside, of stakes")
            assert "creditd replay --source stakes" in alarm.remedy

    asyncio.run(main())


def test_books_that_an_audit_found_wrong_are_an_alarm_until_one_finds_them_right(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            await at.follow(await at.here.follow())
            config = write_config(tmp_path, at.here.url)

            async def audited() -> Said:
                words = ("audit", "--config", str(config))
                return await asyncio.to_thread(creditd, *words, database_url=database_url)

            at.here.books.rows("update creditd.lot set amount = amount + 1 returning 1")
            assert not (await audit(database_url)).balanced
            assert (await audited()).code == 1
            (alarm,) = await at.raised()
            assert (alarm.chain, alarm.kind) == (None, "books")
            assert "lots_" in alarm.said
            at.here.books.rows("update creditd.lot set amount = amount - 1 returning 1")
            assert (await audited()).code == 0
            assert await at.raised() == []

    asyncio.run(main())


def test_alarms_are_told_to_receivers_in_order_and_each_once(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at, receiving() as town:
            receiver = Receiver("ops", SecretUrl(town.url), (KEY,), TOPICS)
            async with delivering([receiver], database_url):
                for _ in range(1_000):
                    if at.here.books.rows("select from creditd.receiver"):
                        break
                    await asyncio.sleep(0.01)
                stakes_and_depth(at.here)
                follower = await at.follow(await at.here.follow())
                old = at.here.chain.branch
                at.here.chain.fork_from(0)
                at.here.chain.mine_empty(DEPTH + 5)
                await follower.turn()
                await follower.turn()
                at.here.chain.switch_to(old)
                await follower.turn()
                for _ in range(1_000):
                    if len(town.told) >= 2:
                        break
                    await asyncio.sleep(0.01)
            first, second = (told.said for told in town.told)
            assert [first["type"], second["type"]] == list(TOPICS)
            data: dict[str, Any] = first["data"]
            assert (data["chain"], data["chain_id"], data["alarm"]) == ("town", 31337, "halted")
            assert "left block 1" in data["said"]
            assert "account" not in data
            assert data["order"]["entry"] < second["data"]["order"]["entry"]
            assert all(told.is_signed_with(KEY) for told in town.told)

    asyncio.run(main())


def test_status_shows_each_alarm_with_its_remedy_and_fails(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            await at.follow(await at.here.follow())
            config = write_config(tmp_path, at.here.url)

            async def status(*options: str) -> Said:
                words = ("status", "--config", str(config), *options)
                return await asyncio.to_thread(creditd, *words, database_url=database_url)

            assert (await status()).code == 0
            at.later(1_000)
            asked = await status("--json")
            assert asked.code == 1
            (alarm,) = json.loads(asked.out)["alarms"]
            assert (alarm["chain"], alarm["alarm"]) == ("town", "unwatched")
            shown = await status()
            assert shown.code == 1
            assert "remedy: it does not run" in shown.out

    asyncio.run(main())


def test_two_programs_that_tell_of_alarms_at_once_tell_of_each_once(database_url: str) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            await at.follow(await at.here.follow())
            at.later(1_000)
            with psycopg.connect(database_url) as other:
                told = other.execute("select kind from creditd.tell_alarms()").fetchall()
                telling = asyncio.create_task(at.alarms.tell())
                done, _ = await asyncio.wait([telling], timeout=0.3)
                assert not done
                other.commit()
            assert (told, await telling) == ([("unwatched",)], [])

    asyncio.run(main())


def test_a_head_that_does_not_move_is_an_alarm_where_blocks_come_by_themselves(
    database_url: str,
) -> None:
    async def main() -> None:
        async with watch(database_url) as at:
            stakes_and_depth(at.here)
            mining = replace(at.here.settings(), head_alarm_seconds=600)
            follower = await at.follow(await at.here.stand_by(mining))
            await follower.turn()
            await at.teller.turn()
            at.later(599)
            await follower.turn()
            assert await at.kinds() == []
            at.later(2)
            await follower.turn()
            (alarm,) = await at.raised()
            assert alarm.kind == "still"
            assert f"its head has been block {at.here.chain.head.number} for 60" in alarm.said
            at.here.faults.lag_blocks = 2  # it lost what it had: no better
            await follower.turn()
            assert await at.kinds() == ["still"]
            at.here.faults.lag_blocks = 0
            at.here.chain.mine()
            await follower.turn()
            assert await at.kinds() == []

    asyncio.run(main())
