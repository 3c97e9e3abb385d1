"""A chain that grows, a node that shows it over HTTP, and followers of it that write real books."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from books import Books
from fakechain import FakeChain, Tx, staked
from fakenode import Faults, serve

from contracts.catalogue import EVENTS, MINING_EVENTS
from daemon.chain.rpc import ATTEMPTS_MAX, Node
from daemon.chain.upstreams import Upstreams
from daemon.configuration.config import Chain, Confirmation, Depth, SecretUrl
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Rule
from daemon.configuration.sources import Kind, Source
from daemon.watching.follower import Follower
from ledger.audit import audit, render
from ledger.ids import AccountRef

VAULT = b"\xca" * 20
MINE = b"\xcb" * 20
ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
CAROL = b"\xc0" * 20
TOKEN = 10**18
CREDIT = 1_000_000
DEPTH = 3
ANSWER_SECONDS_MAX = 2.0  # of a node on this machine, so that silence is soon known for what it is


def stakes(
    name: str = "stakes",
    *,
    contract: bytes = VAULT,
    event: str = "staking-rewards.Staked",
    from_block: int = 0,
    to_block: int | None = None,
    per_account_day: int | None = None,
) -> Source:
    """A source that earns one credit for each token; caps are in credits."""
    cap = None if per_account_day is None else per_account_day * CREDIT
    rule = Rule(credits_micro=CREDIT, per_base_units=TOKEN, max_per_account_day_micro=cap)
    kind: Kind = "mining" if event in MINING_EVENTS else "staking"
    return Source(
        name, (contract,), (FollowedEvent(EVENTS[event]),), from_block, to_block, rule, kind=kind
    )


def mining(name: str = "mining", *, from_block: int = 0) -> Source:
    return stakes(name, contract=MINE, event="eip918.Mint", from_block=from_block)


@dataclass
class Scene:
    chain: FakeChain
    faults: Faults
    database_url: str
    url: str
    books: Books
    other_urls: list[str] = field(default_factory=list)  # of further nodes, asked after the first
    _opened: list[Follower] = field(default_factory=list)

    def stake(self, wallet: bytes, tokens: int) -> Tx:
        """A transaction that stakes whole tokens, to be mined."""
        return self.chain.tx(staked(VAULT, wallet, tokens * TOKEN))

    def settings(
        self,
        *sources: Source,
        confirmation: Confirmation | None = None,
        on_deep_reorg: Literal["halt", "reverse"] = "halt",
        span_max: int = 10,
        blocks_remembered: int = 1_000,
        chain_id: int | None = None,
        agree: int = 1,
    ) -> Chain:
        return Chain(
            name="town",
            chain_id=chain_id or self.chain.chain_id,
            rpc_urls=tuple(SecretUrl(url) for url in (self.url, *self.other_urls)),
            agree=agree,
            confirmation=confirmation or Depth(DEPTH),
            on_deep_reorg=on_deep_reorg,
            poll_ms=100,
            span_max=span_max,
            blocks_remembered=blocks_remembered,
            sources=sources or (stakes(),),
        )

    async def follow(
        self,
        *sources: Source,
        confirmation: Confirmation | None = None,
        on_deep_reorg: Literal["halt", "reverse"] = "halt",
        span_max: int = 10,
        blocks_remembered: int = 1_000,
    ) -> Follower:
        """A follower that has taken its first turn. It ends with the scene."""
        follower = await self.stand_by(
            self.settings(
                *sources,
                confirmation=confirmation,
                on_deep_reorg=on_deep_reorg,
                span_max=span_max,
                blocks_remembered=blocks_remembered,
            )
        )
        await follower.turn()
        return follower

    async def stand_by(self, settings: Chain | None = None, name: str = "test") -> Follower:
        """A follower before its first turn."""
        follower = Follower(settings or self.settings(), self.database_url, name)
        follower._upstreams = Upstreams(
            [
                Node(url.reveal(), timeout_seconds=ANSWER_SECONDS_MAX)
                for url in follower.chain.rpc_urls
            ],
            follower.chain.agree,
        )
        await follower.open()
        self._opened.append(follower)
        return follower

    async def end(self, follower: Follower) -> None:
        self._opened.remove(follower)
        await follower.close()

    async def close(self) -> None:
        for follower in self._opened:
            await follower.close()

    async def books_balance(self) -> None:
        report = await audit(self.database_url)
        assert report.balanced, render(report)


@asynccontextmanager
async def scene(database_url: str, chain: FakeChain | None = None) -> AsyncIterator[Scene]:
    """A chain with a genesis block, and empty books; at the end the books must balance.

    There are no pauses between tries here, and none of the tests needs them.
    """
    chain, faults = chain or FakeChain(), Faults()
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("daemon.chain.rpc.BACKOFF_SECONDS", (0.0,) * (ATTEMPTS_MAX - 1))
        url = await stack.enter_async_context(serve(chain, faults))
        books = stack.enter_context(Books.open(database_url))
        made = Scene(chain, faults, database_url, url, books)
        stack.push_async_callback(made.close)
        yield made
        await made.books_balance()


def account_of(here: Scene, wallet: bytes) -> AccountRef:
    ((root_id, account_id),) = here.books.rows(
        "select root_id, account_id from creditd.wallet where address = %s", wallet
    )
    return AccountRef(root_id, account_id)


async def until(what: str, is_so: Callable[[], bool], seconds_max: float) -> None:
    for _ in range(round(seconds_max * 100)):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {seconds_max} s")


CONFIG = """
[[chains]]
name = "town"
chain_id = {chain_id}
rpc_url = "{url}"
confirmation = {{ depth = {depth} }}
poll_ms = 100
span_max = 4
blocks_remembered = 1000

[[chains.sources]]
name = "stakes"
contract = "0x{vault}"
event = "staking-rewards.Staked"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18 }}

[[chains.sources]]
name = "mining"
contract = "0x{mine}"
event = "eip918.Mint"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18 }}
"""


def write_config(folder: Path, url: str, *, chain_id: int = 31337) -> Path:
    """Write what `stakes()` and `mining()` say, for a program of its own."""
    path = folder / "creditd.toml"
    text = CONFIG.format(
        url=url, chain_id=chain_id, depth=DEPTH, vault=VAULT.hex(), mine=MINE.hex()
    )
    path.write_text(text, encoding="utf-8")
    return path
