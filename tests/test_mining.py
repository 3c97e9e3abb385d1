"""The mineable token pays for work, once, and keeps its pace."""

from collections.abc import Sequence

import pytest
from memory_chain import ONE, Chain, logs_of, revert_of, word
from web3.types import TxReceipt

from contracts.artifacts import artifact
from contracts.catalogue import EVENTS
from contracts.events import Decoded
from contracts.proof_of_work import solve, work

MINT = EVENTS["eip918.Mint"]
EPOCHS_PER_ADJUSTMENT = 16


class Mine:
    """A token that can be mined in milliseconds."""

    def __init__(self, chain: Chain, *, target: int = 2**250, seconds_per_epoch: int = 60) -> None:
        self.chain = chain
        self.token = chain.deploy(
            "MineableToken", "Mined", "MND", 50 * ONE, target, seconds_per_epoch
        )

    def challenge(self) -> bytes:
        value = self.chain.read(self.token, "getChallengeNumber")
        assert isinstance(value, bytes)
        return value

    def target(self) -> int:
        value = self.chain.read(self.token, "getMiningTarget")
        assert isinstance(value, int)
        return value

    def nonce(self, miner: bytes) -> int:
        nonce = solve(self.challenge(), miner, self.target())
        assert nonce is not None
        return nonce

    def mint(self, miner: bytes, nonce: int | None = None) -> TxReceipt:
        return self.chain.send(
            miner, self.token, "mint", self.nonce(miner) if nonce is None else nonce
        )

    def useless(self, miner: bytes, nonces: Sequence[int]) -> int:
        """Return one of the nonces that solves nothing now; a few may, by luck."""
        challenge, target = self.challenge(), self.target()
        return next(nonce for nonce in nonces if work(challenge, miner, nonce) > target)


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def mine(chain: Chain) -> Mine:
    return Mine(chain)


def test_a_nonce_that_holds_work_is_rewarded_and_logged(chain: Chain, mine: Mine) -> None:
    before = mine.challenge()
    receipt = mine.mint(chain.alice)
    (log,) = [log for log in logs_of(receipt, mine.token) if log.topics[0] == MINT.topic0]
    assert MINT.decode(log) == Decoded(
        chain.alice,
        50 * ONE,
        {
            "from": chain.alice,
            "rewardAmount": 50 * ONE,
            "epochCount": 1,
            "newChallengeNumber": mine.challenge(),
        },
    )
    assert mine.challenge() != before
    assert chain.read(mine.token, "balanceOf", chain.alice) == 50 * ONE
    # A Transfer beside the Mint: whoever follows both would count one reward twice.
    assert len(logs_of(receipt, mine.token)) == 2


def test_a_nonce_without_work_is_refused(chain: Chain, mine: Mine) -> None:
    nonce = mine.useless(chain.alice, range(20))
    digest = work(mine.challenge(), chain.alice, nonce)
    refused = revert_of(mine.token.contract, lambda: mine.mint(chain.alice, nonce))
    assert refused == ("WorkTooSmall", word(digest, mine.target()))
    assert chain.read(mine.token, "totalSupply") == 0


def test_work_counts_once_and_only_for_whom_it_was_done(chain: Chain, mine: Mine) -> None:
    stolen = next(
        nonce
        for nonce in range(10_000)
        if work(mine.challenge(), chain.alice, nonce) <= mine.target()
        and work(mine.challenge(), chain.bob, nonce) > mine.target()
    )
    name, _ = revert_of(mine.token.contract, lambda: mine.mint(chain.bob, stolen))
    assert name == "WorkTooSmall"
    used = []
    for epoch in range(1, 11):
        used.append(mine.nonce(chain.alice))
        mine.mint(chain.alice, used[-1])
        assert chain.read(mine.token, "epochCount") == epoch
    replayed = mine.useless(chain.alice, used)
    name, _ = revert_of(mine.token.contract, lambda: mine.mint(chain.alice, replayed))
    assert name == "WorkTooSmall"
    assert chain.read(mine.token, "totalSupply") == 10 * 50 * ONE


@pytest.mark.parametrize("wait_seconds", [0, 30, 90, 1_000])
def test_mining_gets_harder_when_it_is_too_fast_and_easier_when_too_slow(
    chain: Chain, wait_seconds: int
) -> None:
    start = 2**249
    mine = Mine(chain, target=start, seconds_per_epoch=60)
    began, aim = chain.time(), EPOCHS_PER_ADJUSTMENT * 60
    for _ in range(EPOCHS_PER_ADJUSTMENT):
        assert mine.target() == start
        if wait_seconds:
            chain.wait(wait_seconds)
        mine.mint(chain.alice)
    scaled = start * (chain.time() - began) // aim
    assert mine.target() == min(max(scaled, start // 4), start * 4)
    assert (mine.target() < start) == (wait_seconds < 60)
    assert chain.read(mine.token, "getMiningDifficulty") == 2**252 // mine.target()
    assert chain.read(mine.token, "getAdjustmentInterval") == aim
    assert chain.read(mine.token, "getMiningReward") == 50 * ONE
    mine.mint(chain.bob)


@pytest.mark.parametrize("target", [0, 2**16 - 1, 2**252 + 1, 2**256 - 1])
def test_a_token_that_could_not_be_mined_is_not_deployed(chain: Chain, target: int) -> None:
    refused = revert_of(artifact("MineableToken"), lambda: Mine(chain, target=target))
    assert refused == ("TargetOutOfRange", word(target))
