"""Stakes that a watcher follows, on a chain whose blocks come when a test says."""

from fakechain import GENESIS_TIME, FakeChain
from scene import CREDIT, TOKEN, VAULT

from contracts.presets import PRESETS
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import Holding, Rule
from daemon.configuration.sources import Source

DAY = 86_400
# The first midnight after the chain began.
MIDNIGHT = GENESIS_TIME - GENESIS_TIME % DAY + DAY


def held(name: str = "held") -> Source:
    """A credit a day for each token that is staked."""
    return Source(
        name,
        (VAULT,),
        tuple(FollowedEvent(*part) for part in PRESETS["staking-rewards"].parts),
        0,
        None,
        Rule(CREDIT, TOKEN, holding=Holding(DAY, DAY)),
    )


def at(chain: FakeChain, time: int, *what: object) -> None:
    """Mine a block of a time, with these events."""
    chain.mine(*what, seconds=time - chain.head.time)  # type: ignore[arg-type]
