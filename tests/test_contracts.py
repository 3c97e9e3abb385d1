"""The staking contract does what it says, and our decoders read logs as web3 does."""

import random
from collections import Counter

import pytest
from memory_chain import ONE, Chain, Deployed, decoded, logs_of, revert_of, word
from web3.types import TxReceipt

from contracts.catalogue import EVENTS
from contracts.events import Decoded, Mismatch
from contracts.hashing import keccak
from contracts.proof_of_work import solve

STAKED = EVENTS["staking-rewards.Staked"]
WITHDRAWN = EVENTS["staking-rewards.Withdrawn"]
REWARD_PAID = EVENTS["staking-rewards.RewardPaid"]
MINT = EVENTS["eip918.Mint"]

DURATION_SECONDS = 1_000


class Staking:
    """A staking contract, with a stake for Alice and Bob and a reward for the owner to bring."""

    def __init__(self, chain: Chain, *, one_token: bool = False) -> None:
        self.chain = chain
        self.token = chain.deploy("StakeToken", "Stake", "STK")
        self.reward = self.token if one_token else chain.deploy("StakeToken", "Reward", "RWD")
        self.pool = chain.deploy(
            "StakingRewards", self.token.address, self.reward.address, DURATION_SECONDS
        )
        for user, token in (
            (chain.owner, self.reward),
            (chain.alice, self.token),
            (chain.bob, self.token),
        ):
            chain.send(chain.owner, token, "mint", user, 1_000_000 * ONE)
            chain.send(user, token, "approve", self.pool.address, 1_000_000 * ONE)

    def send(self, sender: bytes, function: str, *arguments: object) -> TxReceipt:
        return self.chain.send(sender, self.pool, function, *arguments)

    def refused(self, sender: bytes, function: str, *arguments: object) -> tuple[str, bytes]:
        return revert_of(self.pool.contract, lambda: self.send(sender, function, *arguments))

    def says(self, receipt: TxReceipt) -> list[tuple[str, bytes, int]]:
        return decoded(receipt, self.pool)

    def read(self, function: str, *arguments: object) -> int:
        value = self.chain.read(self.pool, function, *arguments)
        assert isinstance(value, int)
        return value

    def held(self, token: Deployed, holder: bytes) -> int:
        value = self.chain.read(token, "balanceOf", holder)
        assert isinstance(value, int)
        return value


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def staking(chain: Chain) -> Staking:
    return Staking(chain)


def test_a_stake_is_held_and_logged_and_comes_back(chain: Chain, staking: Staking) -> None:
    receipt = staking.send(chain.alice, "stake", 100 * ONE)
    assert staking.says(receipt) == [(STAKED.name, chain.alice, 100 * ONE)]
    assert staking.read("totalStaked") == 100 * ONE
    assert staking.held(staking.token, staking.pool.address) == 100 * ONE

    receipt = staking.send(chain.alice, "withdraw", 30 * ONE)
    assert staking.says(receipt) == [(WITHDRAWN.name, chain.alice, 30 * ONE)]
    assert staking.read("balanceOf", chain.alice) == 70 * ONE
    assert staking.held(staking.token, chain.alice) == 999_930 * ONE


def test_nobody_moves_nothing_or_more_than_they_staked(chain: Chain, staking: Staking) -> None:
    staking.send(chain.alice, "stake", 5)
    assert staking.refused(chain.alice, "stake", 0) == ("ZeroAmount", b"")
    assert staking.refused(chain.alice, "withdraw", 0) == ("ZeroAmount", b"")
    assert staking.refused(chain.alice, "withdraw", 6) == ("MoreThanStaked", word(5, 6))
    assert staking.refused(chain.bob, "withdraw", 1) == ("MoreThanStaked", word(0, 1))
    assert staking.read("totalStaked") == 5


def test_a_reward_flows_by_time_and_by_share(chain: Chain, staking: Staking) -> None:
    staking.send(chain.alice, "stake", 100 * ONE)
    staking.send(chain.owner, "notifyRewardAmount", 1_000 * ONE)
    began = chain.time()
    chain.wait(200)
    assert staking.read("earned", chain.alice) == (chain.time() - began) * ONE

    staking.send(chain.bob, "stake", 300 * ONE)
    joined = chain.time()
    chain.wait(200)
    together = chain.time() - joined
    assert staking.read("earned", chain.bob) == together * ONE * 3 // 4
    assert staking.read("earned", chain.alice) == (joined - began) * ONE + together * ONE // 4

    receipt = staking.send(chain.bob, "getReward")
    paid = (chain.time() - joined) * ONE * 3 // 4
    assert staking.says(receipt) == [(REWARD_PAID.name, chain.bob, paid)]
    assert staking.held(staking.reward, chain.bob) == paid
    assert staking.read("earned", chain.bob) == 0


def test_a_reward_ends_and_what_was_left_joins_the_next_one(chain: Chain, staking: Staking) -> None:
    staking.send(chain.alice, "stake", ONE)
    staking.send(chain.owner, "notifyRewardAmount", 1_000 * ONE)
    began = chain.time()
    chain.wait(400)
    staking.send(chain.owner, "notifyRewardAmount", 500 * ONE)
    left = (DURATION_SECONDS - (chain.time() - began)) * ONE
    assert staking.read("rewardRate") == (left + 500 * ONE) // DURATION_SECONDS
    chain.wait(2 * DURATION_SECONDS)
    assert 1_500 * ONE - DURATION_SECONDS < staking.read("earned", chain.alice) <= 1_500 * ONE


def test_exit_gives_stake_and_reward_in_one_transaction(chain: Chain, staking: Staking) -> None:
    staking.send(chain.alice, "stake", 10 * ONE)
    staking.send(chain.owner, "notifyRewardAmount", 1_000 * ONE)
    chain.wait(DURATION_SECONDS)
    receipt = staking.send(chain.alice, "exit")
    assert staking.says(receipt) == [
        (WITHDRAWN.name, chain.alice, 10 * ONE),
        (REWARD_PAID.name, chain.alice, 1_000 * ONE),
    ]
    withdrawn, paid = logs_of(receipt, staking.pool)
    assert (withdrawn.tx_hash, withdrawn.ordinal < paid.ordinal) == (paid.tx_hash, True)
    assert staking.says(staking.send(chain.alice, "exit")) == []


def test_only_the_owner_brings_rewards_and_only_some_that_fit(
    chain: Chain, staking: Staking
) -> None:
    name, _ = staking.refused(chain.alice, "notifyRewardAmount", 1)
    assert name == "OwnableUnauthorizedAccount"
    chain.send(chain.owner, staking.reward, "mint", chain.owner, 2**128)
    chain.send(chain.owner, staking.reward, "approve", staking.pool.address, 2**128)
    too_much = staking.refused(chain.owner, "notifyRewardAmount", 2**128)
    assert too_much == ("RewardTooLarge", word(2**128))
    staking.send(chain.bob, "stake", 1)
    staking.send(chain.owner, "notifyRewardAmount", 2**128 - 1)
    chain.wait(DURATION_SECONDS)
    staking.send(chain.alice, "stake", 1_000_000 * ONE)
    assert len(staking.says(staking.send(chain.alice, "exit"))) == 1
    assert len(staking.says(staking.send(chain.bob, "exit"))) == 2


@pytest.mark.parametrize(("seed", "one_token"), [(1, False), (2, True)])
def test_whatever_happens_stakes_come_back_and_rewards_are_covered(
    chain: Chain, seed: int, one_token: bool
) -> None:
    staking, draw = Staking(chain, one_token=one_token), random.Random(seed)
    brought = paid = 0
    for _ in range(20):
        user = draw.choice((chain.alice, chain.bob))
        staked = staking.read("balanceOf", user)
        match draw.choice(("stake", "withdraw", "getReward", "bring", "wait", "exit")):
            case "stake":
                staking.send(user, "stake", draw.randint(1, 1_000 * ONE))
            case "withdraw" if staked:
                staking.send(user, "withdraw", draw.randint(1, staked))
            case "bring":
                brought += (reward := draw.randint(1, 5_000 * ONE))
                staking.send(chain.owner, "notifyRewardAmount", reward)
            case "wait":
                chain.wait(draw.randint(1, DURATION_SECONDS))
            case "getReward" | "exit" as leave:
                receipt = staking.send(user, leave)
                paid += sum(x for name, _, x in staking.says(receipt) if name == REWARD_PAID.name)
    for user in (chain.alice, chain.bob):
        receipt = staking.send(user, "exit")
        paid += sum(x for name, _, x in staking.says(receipt) if name == REWARD_PAID.name)
    assert staking.read("totalStaked") == 0
    assert staking.held(staking.reward, staking.pool.address) == brought - paid >= 0
    assert one_token or staking.held(staking.token, chain.alice) == 1_000_000 * ONE


def mined(chain: Chain, token: Deployed) -> TxReceipt:
    challenge, target = (
        chain.read(token, name) for name in ("getChallengeNumber", "getMiningTarget")
    )
    return chain.send(chain.bob, token, "mint", solve(challenge, chain.bob, target))


def test_our_decoders_read_what_web3_reads(chain: Chain, staking: Staking) -> None:
    token = chain.deploy("MineableToken", "Mined", "MND", 50 * ONE, 2**252, 60)
    receipts = [staking.send(chain.alice, "stake", 7)]
    receipts.append(staking.send(chain.owner, "notifyRewardAmount", 1_000 * ONE))
    chain.wait(100)
    receipts += [staking.send(chain.alice, "exit"), mined(chain, token), mined(chain, token)]
    compared = Counter[str]()
    for event in EVENTS.values():
        emitter = token if event is MINT else staking.pool
        contract = chain.w3.eth.contract(abi=emitter.contract.abi)
        for receipt in receipts:
            for log in logs_of(receipt, emitter):
                match event.decode(log):
                    case Decoded(fields=fields):
                        theirs = contract.events[event.name.split(".")[1]]()
                        arguments = theirs.process_log(receipt["logs"][log.ordinal])["args"]
                        assert fields == {
                            name: bytes.fromhex(value[2:]) if isinstance(value, str) else value
                            for name, value in arguments.items()
                        }
                        compared[event.name] += 1
                    case Mismatch():
                        assert event.topic0 != log.topics[0]
    assert compared == {STAKED.name: 1, WITHDRAWN.name: 1, REWARD_PAID.name: 1, MINT.name: 2}


def test_logs_that_only_look_like_stakes_are_set_aside(chain: Chain) -> None:
    odd = chain.deploy("OddEvents")

    def outcome(function: str, *arguments: object) -> list[Decoded | Mismatch]:
        receipt = chain.send(chain.alice, odd, function, *arguments)
        return [STAKED.decode(log) for log in logs_of(receipt, odd)]

    def why(function: str, *arguments: object) -> str:
        (only,) = outcome(function, *arguments)
        assert isinstance(only, Mismatch)
        return only.reason

    user = chain.bob
    assert [
        one.amount for one in outcome("staked", user, [3, 0, 4]) if isinstance(one, Decoded)
    ] == [
        3,
        0,
        4,
    ]
    assert why("stakedNothingIndexed", user, 5).endswith("has 2 topics, the log 1")
    assert why("stakedBothIndexed", user, 5).endswith("has 2 topics, the log 3")
    assert why("stakedWithData", user, bytes(31)).endswith("has 32 bytes of data, the log 31")
    assert why("stakedWithData", user, bytes(64)).endswith("has 32 bytes of data, the log 64")
    assert why("stakedWithData", user, b"").endswith("has 32 bytes of data, the log 0")
    assert "is address, which the log's word" in why("stakedByWord", b"\x01" * 32, 5)
    assert why("withdrawFromNumberedPool", user, 1, 5) == why("withdrawFromVoteEscrow", user, 5, 1)
    assert why("loggedWithoutTopics", b"Staked").endswith("the log with no topic")


def test_many_stakes_are_of_scattered_users_who_come_again(chain: Chain) -> None:
    many = chain.deploy("ManyStakes")
    receipt = chain.send(chain.alice, many, "stake", 998, 4, 1_000)
    assert decoded(receipt, many) == [
        (STAKED.name, keccak(number.to_bytes(32))[-20:], amount * 10**15)
        for number, amount in ((998, 999), (999, 1_000), (0, 1), (1, 2))
    ]
