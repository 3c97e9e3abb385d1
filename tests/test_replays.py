"""Logs that were set aside are decoded again over the operator's port, and granted once."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from books import Books
from command_line import (
    PATIENCE_SECONDS,
    STOP_SECONDS_MAX,
    edited,
    environ_of,
    node,
    started,
    until,
)
from fakechain import Event, FakeChain
from fakenode import Faults
from live_api import LiveApi, code_of
from missed import STAKED
from operator_port import Ports, both_ports, operator_key
from scene import ALICE, BOB, CREDIT, DEPTH, VAULT, Scene, stakes, write_config

from api.operating.replays import Replayed, ReplayOutcome
from api.problems.refusals import ReplayCutShort, ReplayNotCarriedOut
from daemon.command_line import replaying
from daemon.command_line.replaying import Replayer
from daemon.configuration.rules import Rule

SIGNED = {"by": "ada", "reason": "ticket 7"}
ASKED = {"source": "stakes", **SIGNED}


@dataclass
class Held:
    """A node that answers nothing until it is let go."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _methods: list[str]) -> None:
        self.asked.set()
        assert self.let_go.wait(PATIENCE_SECONDS)


@dataclass(frozen=True)
class Town:
    """A chain with a stake of Alice's and a log that is none in block 1, one of Bob's in block 2.

    All three are set aside: who followed it took a token for a base unit. The configuration is
    mended since.
    """

    scene: Scene
    config: Path

    def granted(self) -> tuple[int, int]:
        """What Alice and Bob were granted, in credits."""
        found = (self.scene.books.account(wallet).granted for wallet in (ALICE, BOB))
        alice, bob = (granted // CREDIT for granted in found)
        return alice, bob

    def hold(self) -> Held:
        held = Held()
        self.scene.faults.before_request = held
        return held

    def let_go(self) -> None:
        held, self.scene.faults.before_request = self.scene.faults.before_request, None
        if isinstance(held, Held):
            held.let_go.set()

    @property
    def replayer(self) -> Replayer:
        return Replayer(self.config, environ_of(self.scene.database_url))


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[Town]:
    chain, faults = FakeChain(), Faults()
    mistaken = replace(stakes(), rule=Rule(credits_micro=CREDIT, per_base_units=1))

    async def follow(here: Scene) -> None:
        await here.follow(mistaken)
        await here.close()

    with node(chain, faults) as url, Books.open(database_url) as books:
        here = Scene(chain, faults, database_url, url, books)
        chain.mine(here.stake(ALICE, 10), Event(VAULT, (STAKED,), b""))
        chain.mine(here.stake(BOB, 3))
        chain.mine_empty(DEPTH)
        asyncio.run(follow(here))
        assert len(books.rows("select from creditd.set_aside")) == 3
        made = Town(here, write_config(tmp_path, url))
        assert made.granted() == (0, 0)
        try:
            yield made
        finally:
            made.let_go()
        asyncio.run(here.books_balance())


@pytest.fixture
def ports(town: Town) -> Iterator[Ports]:
    with both_ports(town.scene.database_url, town.replayer) as served:
        yield served


def ask(ports: Ports, **more: object) -> httpx2.Response:
    ports.operator.client.timeout = PATIENCE_SECONDS  # it starts a program
    return ports.operator.post("/v1/replays", {**ASKED, **more})


def told(response: httpx2.Response) -> tuple[int, int]:
    """How many events came in, and how many logs stay."""
    assert response.status_code == 200, response.text
    body = response.json()
    return body["granted_events"], body["kept_count"]


def refused(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, code_of(response)


def later(work: Callable[[], httpx2.Response]) -> Future[httpx2.Response]:
    """Do it in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def asking(ports: Ports) -> socket.socket:
    """A connection by which a replay is asked for, whose answer nobody has read."""
    url = urlsplit(ports.operator.url)
    body = json.dumps(ASKED)
    connection = socket.create_connection((url.hostname, url.port))
    connection.sendall(
        f"POST /v1/replays HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {ports.operator.default_key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


def replays(of: psutil.Process) -> list[psutil.Process]:
    """The processes that decode logs again."""
    found = []
    for each in of.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "replay" in each.cmdline():
                found.append(each)
    return found


def nobody_replays() -> None:
    """Wait until no replay of this process goes on. Its loop alone hears of their ends."""
    until(lambda: not replays(psutil.Process()), "the end of the replay")


def acts(api: LiveApi) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.get("/v1/acts").json()["data"]
    return rows


def test_what_a_mended_configuration_reads_is_granted_once(town: Town, tmp_path: Path) -> None:
    """By the program itself; killed, it leaves nobody at work."""
    config = edited(
        town.config, ("[[chains]]", "[api]\nport = 0\n[operator]\nport = 0\n[[chains]]")
    )
    database_url = town.scene.database_url
    with started(
        "serve", "--config", config, log_path=tmp_path / "log", database_url=database_url
    ) as serve:
        url = str(serve.wait_for("listening for operators")["url"])
        with LiveApi(url, database_url) as desk:
            desk.default_key = operator_key(database_url)
            desk.client.timeout = PATIENCE_SECONDS  # it starts a program
            first = desk.post("/v1/replays", ASKED)
            assert told(first) == (2, 1)
            assert town.granted() == (10, 3)
            (kept,) = first.json()["kept"]
            (listed,) = desk.get("/v1/set-aside").json()["data"]
            assert kept == {name: listed[name] for name in kept}
            assert "topic" in kept["reason"]
            assert told(desk.post("/v1/replays", {**ASKED, "first_block": 2})) == (0, 0)
            assert town.granted() == (10, 3)
            assert refused(desk.post("/v1/replays", {**ASKED, "source": "mining"})) == (
                *(404, "no-such-source"),
            )
            again, at_first = acts(desk)
            about = ("kind", "source", "first_block", "last_block", "account", "by", "reason")
            assert [at_first[name] for name in about] == [
                *("replay", "stakes", 0, None, None, "ada", "ticket 7"),
            ]
            assert (again["first_block"], again["api_key"]) == (2, at_first["api_key"])
            held = town.hold()
            answer = later(lambda: desk.post("/v1/replays", ASKED))
            assert held.asked.wait(PATIENCE_SECONDS)
            (replay,) = replays(serve.process)
            serve.process.kill()
            assert psutil.wait_procs([replay], timeout=STOP_SECONDS_MAX)[1] == []
            assert isinstance(answer.exception(), httpx2.TransportError)


def test_one_replay_at_a_time_is_carried_out_to_its_end(town: Town, ports: Ports) -> None:
    """Whoever asked may be gone by then."""
    held = town.hold()
    with asking(ports):
        assert held.asked.wait(PATIENCE_SECONDS)
        second = ask(ports)
        assert refused(second) == (503, "replay-under-way")
        assert int(second.headers["retry-after"]) > 0
        # Charges go on meanwhile.
        assert ports.public.post("/v1/accounts", {"name": "carol"}).status_code == 201
        assert len(replays(psutil.Process())) == 1
    town.let_go()
    nobody_replays()
    assert town.granted() == (10, 3)
    # The one that was refused is not among what was done.
    assert len(acts(ports.operator)) == 1


def test_what_was_granted_before_the_process_was_killed_stays(town: Town, ports: Ports) -> None:
    def kill(_methods: list[str]) -> None:
        with Books.open(town.scene.database_url) as books:
            if books.account(ALICE).granted:
                town.scene.faults.before_request = None
                for each in replays(psutil.Process()):
                    each.kill()

    town.scene.faults.before_request = kill
    cut_short = ask(ports)
    assert refused(cut_short) == (503, "replay-cut-short")
    assert cut_short.json()["granted_events"] is None
    assert town.granted() == (10, 0)
    assert told(ask(ports)) == (1, 1)
    assert town.granted() == (10, 3)


def test_a_node_that_fails_cuts_a_replay_short_and_a_range_leaves_blocks_out(
    town: Town, ports: Ports
) -> None:
    town.scene.faults.omit_log_in.add(2)
    cut_short = ask(ports)
    assert refused(cut_short) == (503, "replay-cut-short")
    assert cut_short.json()["granted_events"] == 1
    assert "no node proves blocks 2 to 2" in cut_short.json()["detail"]
    town.scene.faults.omit_log_in.clear()
    assert told(ask(ports, first_block=1, last_block=1)) == (0, 1)
    assert town.granted() == (10, 0)
    backwards = ask(ports, first_block=2, last_block=1)
    assert refused(backwards) == (400, "invalid-request")
    for range_ in ({"first_block": -1}, {"last_block": 2**63}, {"first_block": None}):
        assert ask(ports, **range_).status_code == 400
    assert len(acts(ports.operator)) == 2


def test_a_replay_is_ended_after_its_time_and_by_a_stop_and_what_is_wrong_is_told(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_url = town.scene.database_url
    misnamed = edited(town.config, ('name = "stakes"', 'name = "stake"'))
    with both_ports(database_url, Replayer(misnamed, environ_of(database_url))) as ports:
        refusal = ask(ports)
        assert refused(refusal) == (409, "replay-not-carried-out")
        assert 'did you mean "stake"' in refusal.json()["detail"]
        assert len(acts(ports.operator)) == 1
    held = town.hold()
    with ExitStack() as stack:
        ports = stack.enter_context(both_ports(database_url, town.replayer))
        with monkeypatch.context() as patch:
            patch.setattr("daemon.command_line.replaying.REPLAY_SECONDS_MAX", 0.5)
            cut_short = ask(ports)
            assert refused(cut_short) == (503, "replay-cut-short")
            assert "took longer than 0.5 seconds" in cut_short.json()["detail"]
            nobody_replays()
        held.asked.clear()
        with asking(ports) as connection:
            assert held.asked.wait(PATIENCE_SECONDS)
            began = monotonic()
            stack.close()
            assert monotonic() - began < STOP_SECONDS_MAX
            answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"/problems/stopping" in answer
    nobody_replays()
    assert town.granted() == (0, 0)


REPORT = b'{"admitted": 2, "kept_count": 0, "kept": [], "trouble": null}'


@pytest.mark.parametrize(
    ("code", "answer", "words", "outcome"),
    [
        (0, REPORT, b"", Replayed(2, 0, [])),
        (2, b"", b"{}\ncreditd: a.\ncreditd: b.\n", ReplayNotCarriedOut("a; b")),
        (1, b"", b"creditd: a", ReplayCutShort("it ended with exit code 1, as the log tells")),
        (-9, REPORT[:-1], b"", ReplayCutShort("it ended with exit code -9, as the log tells")),
        (
            *(0, REPORT.replace(b"2", b'"2"'), b""),
            ReplayCutShort("it ended with exit code 0, as the log tells"),
        ),
        (2, REPORT.replace(b"null", b'"no node."'), b"creditd: a", ReplayCutShort("no node", 2)),
        (
            *(0, REPORT + b" " * replaying.ANSWER_BYTES_MAX, b""),
            ReplayCutShort("its report is longer than is read"),
        ),
    ],
)
def test_what_the_command_says_is_taken_for_no_more_than_it_is(
    code: int, answer: bytes, words: bytes, outcome: ReplayOutcome
) -> None:
    assert replaying._outcome(code, answer, words) == outcome


def test_no_more_is_kept_of_what_the_command_says_than_is_read() -> None:
    async def main() -> tuple[bytes, bytes]:
        streams = asyncio.StreamReader(), asyncio.StreamReader()
        for stream in streams:
            stream.feed_data(b"a" * (replaying.ANSWER_BYTES_MAX + 9) + b"z")
            stream.feed_eof()
        return await replaying._begin_of(streams[0]), await replaying._end_of(streams[1])

    begin, end = asyncio.run(main())
    assert begin == b"a" * (replaying.ANSWER_BYTES_MAX + 1)
    assert end == b"a" * (replaying.WORDS_BYTES_MAX - 1) + b"z"
