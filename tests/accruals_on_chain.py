"""Stakes of every shape on a chain, what they are granted, and the evidence of that."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fakechain import Event, FakeChain, Tx, staked, withdrawn
from scene import ALICE, BOB, DEPTH, MINE, TOKEN, VAULT, Scene, account_of
from watched_stakes import DAY, MIDNIGHT, at, held

from contracts.catalogue import EVENTS
from contracts.presets import PRESETS
from daemon.configuration.config import Config
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Holding, Rule
from daemon.configuration.sources import Source
from daemon.evidence_files.gathering import gather

CREDIT = 1_000_000
HOUR = 3_600
TRANSFER = EVENTS["erc20.Transfer"].topic0


@dataclass(frozen=True)
class Shape:
    """What is staked on a chain, and by which rule."""

    source: Source
    mine: Callable[[FakeChain], None]
    grants: tuple[int, ...]  # Alice's, in micro-credits
    changes: int  # of her stake, up to the end of the last


def by(rule: Rule, *contracts: bytes) -> Source:
    return replace(held(), rule=rule, contracts=contracts or (VAULT,))


def one_event(chain: FakeChain) -> None:
    at(chain, MIDNIGHT + DAY // 2, staked(VAULT, ALICE, 2 * TOKEN))
    at(chain, MIDNIGHT + 2 * DAY, staked(VAULT, ALICE, 9))  # earns from then on only


def many_events(chain: FakeChain) -> None:
    """Two in one transaction, and others beside them in the block."""
    both = chain.tx(staked(VAULT, ALICE, TOKEN), staked(VAULT, BOB, TOKEN))
    twice = chain.tx(staked(VAULT, BOB, 7), *[staked(VAULT, ALICE, TOKEN)] * 2)
    crowd: list[Tx] = [chain.tx(staked(VAULT, bytes([each]) * 20, 5)) for each in range(1, 40)]
    chain.mine(both, *crowd, twice, seconds=MIDNIGHT - chain.head.time)
    at(chain, MIDNIGHT + DAY // 2, staked(VAULT, ALICE, TOKEN))
    at(chain, MIDNIGHT + DAY + 5)
    at(chain, MIDNIGHT + 2 * DAY)


def with_takes(chain: FakeChain) -> None:
    at(chain, MIDNIGHT, staked(VAULT, ALICE, 4 * TOKEN))
    at(chain, MIDNIGHT + DAY // 4, withdrawn(VAULT, ALICE, 3 * TOKEN), staked(VAULT, BOB, TOKEN))
    at(chain, MIDNIGHT + DAY // 2, withdrawn(VAULT, ALICE, TOKEN))
    at(chain, MIDNIGHT + DAY)


def in_two_contracts(chain: FakeChain) -> None:
    at(chain, MIDNIGHT, staked(VAULT, ALICE, TOKEN), staked(MINE, ALICE, 2 * TOKEN))
    at(chain, MIDNIGHT + DAY // 2, withdrawn(MINE, ALICE, TOKEN))
    at(chain, MIDNIGHT + DAY)


def sent(sender: bytes, receiver: bytes, amount: int) -> Event:
    words = (sender.rjust(32, b"\0"), receiver.rjust(32, b"\0"))
    return Event(VAULT, (TRANSFER, *words), amount.to_bytes(32))


def transfers(chain: FakeChain) -> None:
    """What she sends to herself is none of them."""
    at(chain, MIDNIGHT, sent(bytes(20), ALICE, 4 * TOKEN), sent(ALICE, ALICE, TOKEN))
    at(chain, MIDNIGHT + DAY // 2, sent(ALICE, BOB, 3 * TOKEN))
    at(chain, MIDNIGHT + DAY)


HOLDING = tuple(FollowedEvent(*part) for part in PRESETS["erc20-holding"].parts)
RATES = ((MIDNIGHT + DAY // 2, 3 * CREDIT), (MIDNIGHT + DAY + DAY // 4, 0))
SHAPES = {
    "one event": Shape(held(), one_event, (CREDIT, 2 * CREDIT), 1),
    "many events": Shape(held(), many_events, (7 * CREDIT // 2, 4 * CREDIT), 4),
    "takes": Shape(held(), with_takes, (5 * CREDIT // 4,), 3),
    "a holding time": Shape(
        by(Rule(CREDIT, TOKEN, holding=Holding(DAY, DAY, 6 * HOUR))),
        with_takes,
        (CREDIT // 4,),
        3,
    ),
    "rates": Shape(
        by(Rule(CREDIT, TOKEN, rates=RATES, holding=Holding(DAY, DAY))),
        many_events,
        (3 * CREDIT // 2 + 6 * CREDIT, 3 * CREDIT),
        4,
    ),
    "two contracts": Shape(by(held().rule, VAULT, MINE), in_two_contracts, (5 * CREDIT // 2,), 3),
    "transfers": Shape(replace(held(), events=HOLDING), transfers, (5 * CREDIT // 2,), 2),
    "an hour's fraction": Shape(
        by(Rule(1, 7 * TOKEN, holding=Holding(HOUR, DAY))), with_takes, (4,), 3
    ),
}


def config_of(here: Scene, source: Source) -> Config:
    config = object.__new__(Config)
    object.__setattr__(config, "chains", (here.settings(source),))
    return config


async def granted(here: Scene, shape: Shape) -> None:
    """Let the periods of a shape be granted."""
    shape.mine(here.chain)
    for _ in range(DEPTH):
        here.chain.mine()
    follower = await here.follow(shape.source)
    await follower.turn()


async def evidence(here: Scene, source: Source, number: int, wallet: bytes = ALICE) -> str:
    account = account_of(here, wallet)
    return await gather(here.database_url, config_of(here, source), account, number)
