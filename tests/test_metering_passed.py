"""What becomes of requests while creditd is away, where the app lets them pass."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from conftest import run
from creditd_client import (
    AsyncCredits,
    Credits,
    CreditsUnavailable,
    InsufficientCredits,
    Metering,
    Passed,
    PassedFile,
    PassedFileFull,
    Replay,
    replay_passed,
)
from creditd_client.metering import passing
from creditd_client.passed import _latest
from creditd_client.wire import attempts
from streaming_app import Stall, stall
from till import EARNED, NONE

Story = Callable[[Stall, Path], Awaitable[None]]
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", (0.01,) * len(attempts.BACKOFF_SECONDS))


def tell(
    database_url: str,
    folder: Path,
    story: Story,
    *,
    mode: Literal["up to", "before"] = "before",
    bytes_max: int = 10_000,
) -> None:
    path = folder / "passed.jsonl"

    async def main() -> None:
        async with stall(
            database_url, mode=mode, passed=PassedFile(path, bytes_max=bytes_max)
        ) as s:
            await story(s, path)

    asyncio.run(main())


async def replay(s: Stall, path: Path) -> Replay:
    def work() -> Replay:
        with Credits(s.till.line.url, s.till.api_key) as purse:
            return replay_passed(path, purse)

    s.till.line.down = False
    return await asyncio.to_thread(work)


def sample(key: str, **changed: object) -> Passed:
    passed = {
        "key": key,
        "account": "acct_1",
        "operation": "tokens",
        "units": 4,
        "at": AT,
        "state": "ended",
        "maybe_taken": False,
        **changed,
    }
    return Passed(**passed)  # type: ignore[arg-type]


def test_what_is_let_pass_is_recorded_and_charged_once_however_often_it_is_replayed(
    database_url: str, tmp_path: Path
) -> None:
    async def story(s: Stall, path: Path) -> None:
        s.till.line.down = True
        assert (await s.get("/uses-4", "k")).status_code == 200
        assert (await s.get("/uses-4")).status_code == 200
        assert s.app.runs == 2
        assert await s.has() == (EARNED, NONE)
        for _ in range(2):
            replayed = await replay(s, path)
            assert len(replayed.charged) == 2
            assert replayed.charged[0].key == "k"
            assert (replayed.refused, replayed.running, replayed.unreadable) == ((), (), ())
            assert await s.has() == (EARNED - 4, NONE)

    tell(database_url, tmp_path, story)
    assert (tmp_path / "passed.jsonl").stat().st_mode & 0o077 == 0


def test_a_charge_that_had_arrived_is_not_made_again(database_url: str, tmp_path: Path) -> None:
    async def story(s: Stall, path: Path) -> None:
        for _ in range(attempts.ATTEMPTS_MAX):
            s.till.line.loses("lost after")
        assert (await s.get("/uses-4", "k")).status_code == 200
        assert await s.has() == (EARNED - 2, NONE)
        (passed,) = (await replay(s, path)).charged
        assert passed.maybe_taken
        assert await s.has() == (EARNED - 2, NONE)
        assert s.lost == []

    tell(database_url, tmp_path, story)


@pytest.mark.parametrize("path", ["/fails", "/raises", "/breaks-off", "/notices"])
def test_what_is_let_pass_and_fails_is_not_charged(
    database_url: str, tmp_path: Path, path: str
) -> None:
    async def story(s: Stall, file: Path) -> None:
        s.till.line.down = True
        if path == "/notices":
            await s.web.call_and_hang_up(path, s.app.began)
        elif path == "/breaks-off":
            with pytest.raises(Exception, match="peer closed"):
                await s.get(path)
        else:
            assert (await s.get(path)).status_code == 500
        await s.has()
        assert await replay(s, file) == Replay((), (), (), ())
        assert await s.has() == (EARNED, NONE)

    tell(database_url, tmp_path, story)


def test_what_failed_is_given_back_where_its_charge_had_arrived(
    database_url: str, tmp_path: Path
) -> None:
    async def story(s: Stall, path: Path) -> None:
        for _ in range(attempts.ATTEMPTS_MAX):
            s.till.line.loses("lost after")
        assert (await s.get("/fails")).status_code == 500
        assert await s.has() == (EARNED - 2, NONE)
        for _ in range(2):
            assert (await replay(s, path)).charged == ()
            assert await s.has() == (EARNED, NONE)

    tell(database_url, tmp_path, story)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/uses-4", 2),
        ("/says-nothing", 5),
        ("/costs-3", 3),
        ("/costs-a-trifle", Decimal("0.000001")),
        ("/uses-none", 0),
    ],
)
def test_what_was_to_be_held_is_charged_by_what_it_used(
    database_url: str, tmp_path: Path, path: str, taken: Decimal
) -> None:
    async def story(s: Stall, file: Path) -> None:
        s.till.line.down = True
        assert (await s.get(path, "k")).status_code == 200
        for _ in range(2):
            await replay(s, file)
            assert await s.has() == (EARNED - taken, NONE)

    tell(database_url, tmp_path, story, mode="up to")


@pytest.mark.parametrize("expired", [False, True])
def test_a_replay_that_was_cut_off_while_it_held_credits_is_finished_by_the_next(
    database_url: str, tmp_path: Path, expired: bool
) -> None:
    async def story(s: Stall, file: Path) -> None:
        s.till.line.down = True
        assert (await s.get("/costs-3", "k")).status_code == 200
        s.till.line.loses("passes")
        for _ in range(attempts.ATTEMPTS_MAX):
            s.till.line.loses("lost before")
        with pytest.raises(CreditsUnavailable):
            await replay(s, file)
        assert (await s.has())[1] > 0
        if expired:
            run(s.till.database_url, "update creditd.reservation set expires_at = now()")
        for _ in range(2):
            replayed = await replay(s, file)
            assert (len(replayed.charged), replayed.refused) == (1, ())
            assert await s.has() == (EARNED - 3, NONE)

    tell(database_url, tmp_path, story, mode="up to")


def test_a_stream_let_pass_and_cut_short_is_charged_what_was_used(
    database_url: str, tmp_path: Path
) -> None:
    async def story(s: Stall, path: Path) -> None:
        s.till.line.down = True
        await s.web.call_and_hang_up("/streams-4?gone", s.app.began)
        running = await replay(s, path)
        assert (len(running.running), running.charged) == (1, ())
        s.app.go_on.set()
        await s.has()
        await replay(s, path)
        assert await s.has() == (EARNED - 2, NONE)

    tell(database_url, tmp_path, story, mode="up to")


def test_one_key_is_let_pass_once(database_url: str, tmp_path: Path) -> None:
    async def story(s: Stall, _path: Path) -> None:
        s.till.line.down = True
        assert (await s.get("/uses-4", "k")).status_code == 200
        again = await s.get("/uses-4", "k")
        assert again.status_code == 409
        assert again.json()["type"] == "/problems/operation-was-passed"
        assert s.app.runs == 1

    tell(database_url, tmp_path, story)


def test_what_cannot_be_recorded_does_not_run(database_url: str, tmp_path: Path) -> None:
    async def story(s: Stall, path: Path) -> None:
        s.till.line.down = True
        assert (await s.get("/uses-4", "k")).status_code == 200
        refused = await s.get("/uses-4", "other")
        assert refused.status_code == 503
        assert s.app.runs == 1
        (passed,) = (await replay(s, path)).charged
        assert passed.state == "ended"

    tell(database_url, tmp_path, story, bytes_max=400)


def test_who_cannot_pay_afterwards_is_told(database_url: str, tmp_path: Path) -> None:
    async def story(s: Stall, path: Path) -> None:
        s.till.line.down = True
        for _ in range(2):
            assert (await s.get("/uses-4")).status_code == 200
        await s.till.direct.charge(s.till.account, "tokens", 35)
        replayed = await replay(s, path)
        assert len(replayed.charged) == 1
        ((passed, refusal),) = replayed.refused
        assert passed.units == 4
        assert isinstance(refusal, InsufficientCredits)

    tell(database_url, tmp_path, story)


def test_a_caller_does_not_wait_for_creditd_beyond_the_stated_time(
    database_url: str, tmp_path: Path
) -> None:
    async def story(s: Stall, path: Path) -> None:
        s.till.line.loses("silent")
        began = asyncio.get_running_loop().time()
        assert (await s.get("/uses-4")).status_code == 200
        assert asyncio.get_running_loop().time() - began < 3  # 1 s here; 3 s is one attempt's
        (passed,) = (await replay(s, path)).charged
        assert passed.maybe_taken

    tell(database_url, tmp_path, story)


def test_the_last_whole_record_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "passed.jsonl"
    keep = PassedFile(path)
    keep(sample("a", state="begun"))
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    keep(sample("a", units=7, amount=Decimal("0.5"), model="small"))
    with path.open("ab") as file:
        file.write(b'[1]\n{"key": "a", "at": "soon"}\n\xff\n{"key": "half')
    records, unreadable = _latest(path.read_bytes())
    assert records == [sample("a", units=7, amount=Decimal("0.5"), model="small")]
    assert unreadable == (2, 4, 5, 6, 7)


def test_a_file_takes_no_more_than_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "passed.jsonl"
    keep = PassedFile(path, bytes_max=400)
    keep(sample("a", state="begun"))
    size = path.stat().st_size
    keep(sample("b", state="begun"))
    with pytest.raises(PassedFileFull, match="replay_passed"):
        keep(sample("c", state="begun"))
    assert path.stat().st_size == 2 * size
    keep(sample("a"))
    keep(sample("b", state="failed"))
    assert [record.state for record in _latest(path.read_bytes())[0]] == ["ended", "failed"]
    path.rename(tmp_path / "taken away")
    keep(sample("c", state="begun"))
    assert path.stat().st_size == size


def test_what_began_long_ago_is_charged_as_it_began(database_url: str, tmp_path: Path) -> None:
    async def story(s: Stall, path: Path) -> None:
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        keep = PassedFile(path)
        keep(sample("old", account=s.till.account, state="begun", at=long_ago))
        keep(sample("new", account=s.till.account, state="begun", at=datetime.now(UTC)))
        replayed = await replay(s, path)
        assert [passed.key for passed in replayed.charged] == ["old"]
        assert [passed.key for passed in replayed.running] == ["new"]
        assert await s.has() == (EARNED - 2, NONE)

    tell(database_url, tmp_path, story)


def test_what_begins_in_one_file_ends_in_the_next(database_url: str, tmp_path: Path) -> None:
    first, then = tmp_path / "1", tmp_path / "2"

    async def story(s: Stall, _: Path) -> None:
        for key, ends in (("a", "ended"), ("b", "failed")):
            passed = {"account": s.till.account, "operation": "summary", "units": 1}
            PassedFile(first)(sample(key, state="begun", **passed))
            PassedFile(then)(sample(key, state=ends, **passed))
        s.till.line.down = False
        with Credits(s.till.line.url, s.till.api_key) as purse:
            replayed = await asyncio.to_thread(replay_passed, [first, then], purse)
        assert [passed.key for passed in replayed.charged] == ["a"]
        assert await s.has() == (EARNED - 2, NONE)

    tell(database_url, tmp_path, story)


def test_only_so_many_keys_are_remembered(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "KEYS_MAX", 3)

    async def story(s: Stall, _: Path) -> None:
        s.till.line.down = True
        for key in ("1", "2", "3", "4"):
            assert (await s.get("/uses-4", key)).status_code == 200
        for key in ("2", "3", "4"):
            assert (await s.get("/uses-4", key)).status_code == 409
        assert s.app.runs == 4
        assert (await s.get("/uses-4", "1")).status_code == 200  # forgotten for the fourth
        assert s.app.runs == 5

    tell(database_url, tmp_path, story)


@pytest.mark.parametrize("given", [{"on_unavailable": "pass"}, {"passed": print}])
def test_letting_pass_and_recording_go_together(given: dict[str, object]) -> None:
    async def main() -> None:
        async with AsyncCredits("http://127.0.0.1:1", "ck_test") as purse:
            with pytest.raises(ValueError, match="go together"):
                Metering(
                    lambda *_: asyncio.sleep(0),
                    credits=purse,
                    price=lambda _: None,
                    **given,  # type: ignore[arg-type]
                )

    asyncio.run(main())
