"""What a history is about, drawn before it begins: the settings, the sources, the sizes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

import pytest
from scene import MINE

from contracts.catalogue import EVENTS
from contracts.presets import PRESETS
from daemon.chain.known_chains import Verify
from daemon.configuration.config import Chain, Depth, Finalized, SecretUrl
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Holding, Rule
from daemon.configuration.sources import Source
from simulation.oracle import MINING, STAKES, Terms
from simulation.stakes import Held
from simulation.world import DAY_SECONDS, STRANGER

# What is drawn by itself, and seldom: a history without it is as it was before there was such.
UNPROVEN_RATE = 0.12
STAKES_RATE = 0.12
ACCEPTS_RATE = 0.12


@dataclass(frozen=True)
class Drawn:
    """The settings of one chain, and whether its finality may break.

    With `held` there are stakes that earn by time; with `accepts` somebody accepts reorgs.
    """

    chain_id: int
    depth: int | None
    on_deep_reorg: Literal["halt", "reverse"]
    machines: tuple[int, ...]  # behind each URL
    agree: int
    span_max: int
    remembered: int
    verify: Verify
    breaks: bool
    sockets: bool  # asked over real sockets
    sources: tuple[Terms, ...] = field(repr=False)
    held: Held | None = None
    accepts: bool = False

    @classmethod
    def by(cls, rng: Random, rare: Random, chain_id: int, *, sockets: bool) -> "Drawn":
        urls = rng.choices((1, 2, 3), (5, 4, 1))[0]
        drawn = cls(
            chain_id=chain_id,
            depth=rng.choice((None, None, None, 1, 2, 4)),
            on_deep_reorg=rng.choice(("halt", "reverse")),
            machines=tuple(rng.choice((1, 2)) for _ in range(urls)),
            agree=rng.randint(1, urls),
            span_max=rng.choice((1, 1, 2, 4, 8, 100)),
            remembered=rng.choice((6, 1_000, 1_000)),
            verify=rng.choice(("bloom", "bloom", "all")),
            breaks=rng.random() < 0.4,
            sockets=sockets,
            sources=_sources(rng),
        )
        return drawn._with(rare)

    def _with(self, rare: Random) -> "Drawn":
        """Return the same with what is drawn seldom."""
        drawn = self
        if rare.random() < STAKES_RATE:
            drawn = replace(drawn, held=_held(rare))
        if rare.random() < ACCEPTS_RATE:
            drawn = replace(drawn, accepts=True, breaks=True, on_deep_reorg="halt")
        if rare.random() < UNPROVEN_RATE:
            drawn = replace(drawn, verify="found")
            if rare.random() < 0.5:  # nothing is proven: two are to agree, at least
                machines = (drawn.machines * 2)[: max(2, len(drawn.machines))]
                drawn = replace(drawn, verify="off", machines=machines, agree=max(2, drawn.agree))
        return drawn

    @property
    def first(self) -> int:
        """The first block that may earn."""
        return min(terms.first for terms in self.sources) if self.held is None else 0

    @property
    def searches(self) -> bool:
        """Whether `eth_getLogs` says which blocks have logs: one machine is to answer a batch."""
        return self.verify in {"found", "off"}

    @property
    def told(self) -> Iterator[str]:
        """What is drawn seldom, by name."""
        yield f"verify {self.verify}"
        if self.held is not None:
            yield "stakes"

    def settings(self, addresses: tuple[str, ...]) -> Chain:
        return Chain(
            name=f"chain-{self.chain_id}",
            chain_id=self.chain_id,
            rpc_urls=tuple(map(SecretUrl, addresses)),
            agree=self.agree,
            confirmation=Finalized() if self.depth is None else Depth(self.depth),
            on_deep_reorg=self.on_deep_reorg,
            poll_ms=100,
            span_max=self.span_max,
            blocks_remembered=self.remembered,
            verify=self.verify,
            sources=(*map(self._source, self.sources), *self._stakes()),
        )

    def _source(self, terms: Terms) -> Source:
        mines = terms.contract == MINE
        return Source(
            name=f"{terms.name}-{self.chain_id}",
            contracts=(terms.contract,),
            events=(FollowedEvent(EVENTS["eip918.Mint" if mines else "staking-rewards.Staked"]),),
            from_block=terms.first,
            to_block=terms.last,
            rule=Rule(
                credits_micro=terms.credits_micro,
                per_base_units=terms.per,
                max_per_event_micro=terms.most,
                max_per_account_day_micro=terms.most_a_day,
            ),
            kind="mining" if mines else "staking",
        )

    def _stakes(self) -> Iterator[Source]:
        if self.held is None:
            return
        holding = Holding(self.held.every_seconds, self.held.period_seconds, self.held.hold_seconds)
        yield Source(
            name=f"held-{self.chain_id}",
            contracts=(self.held.contract,),
            events=tuple(FollowedEvent(*part) for part in PRESETS["staking-rewards"].parts),
            from_block=0,
            to_block=None,
            rule=Rule(self.held.credits_micro, self.held.per, holding=holding),
            kind="staking",
        )


def _held(rare: Random) -> Held:
    return Held(
        contract=STRANGER,
        credits_micro=rare.choice((1_000_000, 333_333)),
        per=rare.choice((10**18, 7 * 10**17)),
        every_seconds=DAY_SECONDS,
        period_seconds=rare.choice((DAY_SECONDS, DAY_SECONDS // 3)),
        hold_seconds=rare.choice((0, 0, 40, DAY_SECONDS + 100)),
    )


def _sources(rng: Random) -> tuple[Terms, ...]:
    stakes = replace(
        STAKES,
        first=rng.choice((0, 0, 0, 5)),
        last=rng.choice((None, None, 30)),
        credits_micro=rng.choice((1_000_000, 3)),
        per=rng.choice((10**18, 7 * 10**12)),
        most_a_day=rng.choice((None, None, 25_000_000)),
    )
    mining = replace(MINING, first=rng.choice((0, 0, 8)), most=rng.choice((None, 9_000_000)))
    return (stakes, mining)[: rng.choice((1, 2, 2))]


@contextmanager
def small_limits(rng: Random) -> Iterator[None]:
    """Let the daemon's limits be so small that chains of some dozen blocks meet each of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, values in (
            ("daemon.watching.ahead.LOGS_PER_STEP_MAX", (2, 5, 1_000)),
            ("daemon.watching.ahead.BLOCKS_PER_PART_AT_FIRST", (1, 3, 20)),
            ("daemon.watching.ahead.LOGS_AHEAD_MAX", (4, 10_000)),
            ("daemon.watching.view.LOGS_PER_PART_MAX", (1, 4, 2_500)),
            ("daemon.watching.follower.STEPS_PER_TURN_MAX", (1, 2, 5, 100)),
            ("daemon.chain.rpc.BATCH_CALLS_MAX", (2, 5, 100)),
            ("ledger.watching.EVENTS_AT_ONCE_MIN", (1, 3, 50)),
        ):
            patch.setattr(name, rng.choice(values))
        patch.setattr("daemon.chain.rpc.BACKOFF_SECONDS", (0.0, 0.0, 0.0))
        yield
