"""A log is an event only if everything about it is that event's."""

import hashlib
import json
from pathlib import Path

import pytest
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st
from known_topics import KNOWN_TOPICS

from contracts.artifacts import NAMES, artifact
from contracts.calls import decode_result, encode_call, encode_deployment
from contracts.catalogue import EVENTS
from contracts.events import Decoded, EventType, Mismatch
from contracts.logs import Log
from contracts.proof_of_work import solve, work

CONTRACTS = Path(__file__).parent.parent / "contracts"
EMITTER = b"\xe0" * 20
TX = b"\x7a" * 32
USER = bytes(range(1, 21))

# Published hashes of other events: the parser, not the catalogue, is what these try.
TRANSFER = EventType.parse(
    "Transfer(address indexed from,address indexed to,uint256 value)",
    name="erc20.Transfer",
    wallet="to",
    amount="value",
)
NUMBERED_POOL = EventType.parse(
    "Withdraw(address indexed user,uint256 indexed pid,uint256 amount)",
    name="numbered-pools.Withdraw",
    wallet="user",
    amount="amount",
)
VOTE_ESCROW = EventType.parse(
    "Withdraw(address indexed provider,uint256 value,uint256 ts)",
    name="vote-escrow.Withdraw",
    wallet="provider",
    amount="value",
)
VOTE_DEPOSIT = EventType.parse(
    "Deposit(address indexed provider,uint256 value,uint256 indexed locktime,"
    "int128 type,uint256 ts)",
    name="vote-escrow.Deposit",
    wallet="provider",
    amount="value",
)
STAKED = EVENTS["staking-rewards.Staked"]
MINT = EVENTS["eip918.Mint"]


def log_of(*topics: bytes, data: bytes = b"") -> Log:
    return Log(EMITTER, topics, data, TX, 0, 0)


def word(kind: str, value: object) -> bytes:
    return encode([kind], [value])


def staked_log(user: bytes = USER, amount: int = 5) -> Log:
    return log_of(STAKED.topic0, word("address", user), data=word("uint256", amount))


def reason(event: EventType, log: Log) -> str:
    outcome = event.decode(log)
    assert isinstance(outcome, Mismatch)
    return outcome.reason


def test_every_event_of_the_catalogue_has_its_published_first_topic() -> None:
    assert {name: event.topic0.hex() for name, event in EVENTS.items()} == KNOWN_TOPICS
    assert all(event.name == name for name, event in EVENTS.items())


def test_a_declared_event_has_its_published_first_topic() -> None:
    topics = {event.name: event.topic0.hex() for event in (TRANSFER, VOTE_ESCROW, VOTE_DEPOSIT)}
    assert topics == {
        "erc20.Transfer": "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
        "vote-escrow.Withdraw": "f279e6a1f5e320cca91135676d9cb6e44ca8a08c0b88342bcdb1144f6511b568",
        "vote-escrow.Deposit": "4566dfc29f6f11d13a418c26a02bef7c28bae749d4de47e4e6a7cddea6730d59",
    }


@given(user=st.binary(min_size=20, max_size=20), amount=st.integers(0, 2**256 - 1))
def test_a_stake_says_who_and_how_much(user: bytes, amount: int) -> None:
    assert STAKED.decode(staked_log(user, amount)) == Decoded(
        user, amount, {"user": user, "amount": amount}
    )


@given(
    miner=st.binary(min_size=20, max_size=20),
    reward=st.integers(0, 2**256 - 1),
    epoch=st.integers(0, 2**256 - 1),
    challenge=st.binary(min_size=32, max_size=32),
)
def test_a_mint_says_who_how_much_and_what_comes_next(
    miner: bytes, reward: int, epoch: int, challenge: bytes
) -> None:
    data = encode(["uint256", "uint256", "bytes32"], [reward, epoch, challenge])
    decoded = MINT.decode(log_of(MINT.topic0, word("address", miner), data=data))
    assert isinstance(decoded, Decoded)
    assert (decoded.wallet, decoded.amount) == (miner, reward)
    assert decoded.fields["epochCount"] == epoch
    assert decoded.fields["newChallengeNumber"] == challenge


def words() -> st.SearchStrategy[tuple[str, int | bytes]]:
    """Draw a type that fills one word, and a value of it as eth_abi takes it."""
    bits = st.integers(1, 32).map(lambda size: 8 * size)
    return st.one_of(
        bits.flatmap(lambda n: st.tuples(st.just(f"uint{n}"), st.integers(0, 2**n - 1))),
        bits.flatmap(
            lambda n: st.tuples(st.just(f"int{n}"), st.integers(-(2 ** (n - 1)), 2 ** (n - 1) - 1))
        ),
        st.tuples(st.just("bool"), st.booleans()),
        st.tuples(st.just("bytes32"), st.binary(min_size=32, max_size=32)),
        st.tuples(st.just("address"), st.binary(min_size=20, max_size=20)),
    )


@given(indexed=st.lists(words(), max_size=3), plain=st.lists(words(), max_size=6), data=st.data())
def test_any_event_of_single_words_decodes_to_what_was_encoded(
    indexed: list[tuple[str, int | bytes]],
    plain: list[tuple[str, int | bytes]],
    data: st.DataObject,
) -> None:
    values = [(kind, value, " indexed") for kind, value in indexed]
    values += [(kind, value, "") for kind, value in plain]
    values += [("address", USER, ""), ("uint256", 7, "")]
    values = data.draw(st.permutations(values))
    text = ",".join(f"{kind}{flag} p{n}" for n, (kind, _, flag) in enumerate(values))
    wallet, amount = values.index(("address", USER, "")), values.index(("uint256", 7, ""))
    event = EventType.parse(f"E({text})", name="e", wallet=f"p{wallet}", amount=f"p{amount}")
    log = log_of(
        event.topic0,
        *(word(kind, value) for kind, value, flag in values if flag),
        data=b"".join(word(kind, value) for kind, value, flag in values if not flag),
    )
    assert event.decode(log) == Decoded(
        USER, 7, {f"p{n}": value for n, (_, value, _) in enumerate(values)}
    )


@pytest.mark.parametrize(
    ("kind", "smallest", "largest"),
    [
        ("bool", 0, 1),
        ("uint8", 0, 2**8 - 1),
        ("uint128", 0, 2**128 - 1),
        ("uint256", 0, 2**256 - 1),
        ("int8", -(2**7), 2**7 - 1),
        ("int128", -(2**127), 2**127 - 1),
        ("int256", -(2**255), 2**255 - 1),
    ],
)
def test_a_number_is_decoded_up_to_the_edges_of_its_type_and_not_past_them(
    kind: str, smallest: int, largest: int
) -> None:
    event = EventType.parse(f"E({kind} p,address a,uint256 n)", name="e", wallet="a", amount="n")
    rest = word("address", USER) + bytes(32)

    def outcome(number: int) -> Decoded | Mismatch:
        return event.decode(log_of(event.topic0, data=(number % 2**256).to_bytes(32) + rest))

    for inside in (smallest, largest):
        assert outcome(inside) == Decoded(USER, 0, {"p": inside, "a": USER, "n": 0})
    for outside in (smallest - 1, largest + 1):
        assert isinstance(outcome(outside), Mismatch) or kind.endswith("256")


@given(kind=words().map(lambda drawn: drawn[0]), found=st.binary(min_size=32, max_size=32))
def test_a_word_is_decoded_exactly_where_it_is_a_clean_value_of_its_type(
    kind: str, found: bytes
) -> None:
    event = EventType.parse(f"E({kind} p,address a,uint256 n)", name="e", wallet="a", amount="n")
    log = log_of(event.topic0, data=found + word("address", USER) + bytes(32))
    try:
        (value,) = decode([kind], found)
    except (DecodingError, OverflowError):  # which an offset beyond all is
        assert (
            reason(event, log) == f"p of e is {kind}, which the log's word 0x{found.hex()} is not"
        )
    else:
        expected = bytes.fromhex(value.removeprefix("0x")) if kind == "address" else value
        assert event.decode(log) == Decoded(USER, 0, {"p": expected, "a": USER, "n": 0})


def test_a_log_without_topics_is_no_event() -> None:
    assert reason(STAKED, log_of()) == (
        f"staking-rewards.Staked starts with 0x{KNOWN_TOPICS['staking-rewards.Staked']},"
        " the log with no topic"
    )


def test_another_first_topic_is_another_event() -> None:
    withdrawn = EVENTS["staking-rewards.Withdrawn"]
    log = log_of(withdrawn.topic0, word("address", USER), data=word("uint256", 5))
    assert isinstance(withdrawn.decode(log), Decoded)
    assert f"the log with 0x{KNOWN_TOPICS['staking-rewards.Withdrawn']}" in reason(STAKED, log)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_another_number_of_topics_is_another_event(count: int) -> None:
    topics = (STAKED.topic0, *[word("address", USER)] * (count - 1))
    log = log_of(*topics, data=word("uint256", 5))
    assert reason(STAKED, log) == f"staking-rewards.Staked has 2 topics, the log {count}"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_short_or_long_data_is_another_event(length: int) -> None:
    log = log_of(STAKED.topic0, word("address", USER), data=bytes(length))
    assert reason(STAKED, log) == f"staking-rewards.Staked has 32 bytes of data, the log {length}"


@pytest.mark.parametrize("at", [0, 11])
def test_an_address_word_with_anything_above_the_address_is_set_aside(at: int) -> None:
    dirty = bytearray(word("address", USER))
    dirty[at] = 1
    log = log_of(STAKED.topic0, bytes(dirty), data=word("uint256", 5))
    assert reason(STAKED, log) == (
        f"user of staking-rewards.Staked is address, which the log's word 0x{dirty.hex()} is not"
    )


def test_an_erc721_transfer_is_no_erc20_transfer() -> None:
    parties = (word("address", EMITTER), word("address", USER))
    erc20 = log_of(TRANSFER.topic0, *parties, data=word("uint256", 5))
    erc721 = log_of(TRANSFER.topic0, *parties, word("uint256", 5))
    assert isinstance(TRANSFER.decode(erc20), Decoded)
    assert reason(TRANSFER, erc721) == "erc20.Transfer has 3 topics, the log 4"


def test_two_events_with_one_first_topic_are_told_apart() -> None:
    user, seven, nine = word("address", USER), word("uint256", 7), word("uint256", 9)
    pool_log = log_of(NUMBERED_POOL.topic0, user, seven, data=nine)
    escrow_log = log_of(VOTE_ESCROW.topic0, user, data=seven + nine)
    assert NUMBERED_POOL.topic0 == VOTE_ESCROW.topic0
    assert NUMBERED_POOL.decode(pool_log) == Decoded(USER, 9, {"user": USER, "pid": 7, "amount": 9})
    assert VOTE_ESCROW.decode(escrow_log) == Decoded(
        USER, 7, {"provider": USER, "value": 7, "ts": 9}
    )
    assert reason(VOTE_ESCROW, pool_log) == "vote-escrow.Withdraw has 2 topics, the log 3"
    assert reason(NUMBERED_POOL, escrow_log) == "numbered-pools.Withdraw has 3 topics, the log 2"


def test_a_signature_may_be_written_over_several_lines() -> None:
    event = EventType.parse(
        " Staked(\n  address  indexed user,\n  uint256 amount\n) ",
        name=STAKED.name,
        wallet="user",
        amount="amount",
    )
    assert event.topic0 == STAKED.topic0
    assert event.decode(staked_log()) == STAKED.decode(staked_log())


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("event E(address a,uint256 n)", "is not an event"),
        ("E(address a,uint256 n);", "is not an event"),
        ("E(address a,uint256 n) anonymous", "is not an event"),
        ("E(address a,uint n)", "'uint' is not a type that is known here"),
        ("E(address a,uint7 n)", "'uint7' is not a type that is known here"),
        ("E(address a,uint264 n)", "'uint264' is not a type that is known here"),
        ("E(address a,bytes n)", "the amount 'n' is not an unsigned integer"),
        ("E(address a,string n)", "the amount 'n' is not an unsigned integer"),
        ("E(address a,uint256 n,uint256[][] m)", r"'uint256\[\]' is not a type"),
        ("E(address a,uint256 n,uint256[2] m)", r"'uint256\[2\]' is not a type"),
        ("E(address a,bytes4 n)", "'bytes4' is not a type that is known here"),
        ("E(address a,uint256[] n)", "the amount 'n' is not an unsigned integer"),
        ("E(address a,(uint256 x,uint256 y) n)", r"'\(uint256' is not a type"),
        ("E(IERC20 a,uint256 n)", "'IERC20' is not a type that is known here"),
        ("E(address a,uint256)", "'uint256' is not a parameter"),
        ("E(address a,,uint256 n)", "'' is not a parameter"),
        ("E(address indexed,uint256 n)", "needs a name of its own"),
        ("E(address a,uint256 a)", "needs a name of its own"),
        (
            "E(address indexed a,uint256 indexed n,bool indexed b,bool indexed c)",
            "at most 3 parameters can be indexed, these are 4",
        ),
        ("E(uint256 a,uint256 n)", "the wallet 'a' is not an address"),
        ("E()", "the wallet 'a' is not an address"),
        ("E(address a,int256 n)", "the amount 'n' is not an unsigned integer"),
        ("E(address a,address n)", "the amount 'n' is not an unsigned integer"),
    ],
)
def test_a_signature_that_cannot_be_decoded_exactly_is_refused(
    signature: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        EventType.parse(signature, name="e", wallet="a", amount="n")


@pytest.mark.parametrize(
    ("address", "topics", "tx_hash", "ordinal", "complaint"),
    [
        (b"", (), TX, 0, "an address has 20 bytes"),
        (EMITTER, (b"\x01",), TX, 0, "a topic has 32 bytes"),
        (EMITTER, (TX,) * 5, TX, 0, "a log has at most 4 topics"),
        (EMITTER, (), b"", 0, "a transaction hash has 32 bytes"),
        (EMITTER, (), TX, 1, "log 0 of a block cannot be log 1 of its transaction"),
        (EMITTER, (), TX, -1, "log 0 of a block cannot be log -1 of its transaction"),
    ],
)
def test_what_no_chain_can_hold_is_no_log(
    address: bytes, topics: tuple[bytes, ...], tx_hash: bytes, ordinal: int, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Log(address, topics, b"", tx_hash, ordinal, 0)


@given(challenge=st.binary(min_size=32, max_size=32), start=st.integers(0, 2**256 - 1))
def test_the_first_nonce_with_enough_work_is_found(challenge: bytes, start: int) -> None:
    target = 2**252
    nonce = solve(challenge, USER, target, start=start, tries_max=50)
    tried = range(start, min(start + 50, 2**256) if nonce is None else nonce)
    assert all(work(challenge, USER, other) > target for other in tried)
    assert nonce is None or work(challenge, USER, nonce) <= target


def test_work_is_searched_for_only_where_it_can_be_found() -> None:
    assert solve(bytes(32), USER, 0, tries_max=10) is None
    for challenge, miner, start in [
        (b"", USER, 0),
        (bytes(32), b"", 0),
        (bytes(32), USER, -1),
        (bytes(32), USER, 2**256),
    ]:
        with pytest.raises(ValueError, match=r"has 32 bytes|has 20 bytes|a nonce is from"):
            solve(challenge, miner, 1, start=start)


def test_calls_are_refused_before_they_are_made() -> None:
    staking = artifact("StakingRewards")
    assert encode_call(staking, "stake", 5).hex() == "a694fc3a" + "5".rjust(64, "0")
    with pytest.raises(ValueError, match="StakingRewards has 0 functions 'steak'"):
        encode_call(staking, "steak", 5)
    with pytest.raises(ValueError, match=r"StakingRewards.stake takes \(uint256\), not 2"):
        encode_call(staking, "stake", 5, 6)
    with pytest.raises(ValueError, match=r"constructor takes \(address, address, uint256\)"):
        encode_deployment(staking)
    with pytest.raises(ValueError, match="is the contract deployed at that address"):
        decode_result(staking, "totalStaked", b"")
    with pytest.raises(ValueError, match="there is no contract 'Staking'"):
        artifact("Staking")


def test_the_artifacts_are_of_the_sources_beside_them() -> None:
    lock = json.loads((CONTRACTS / "artifacts" / "lock.json").read_text(encoding="utf-8"))
    sources = {path.name: path for path in (CONTRACTS / "solidity").glob("*.sol")}
    locked = {name: sha for name, sha in lock["sources"].items() if not name.startswith("@")}
    digests = {name: hashlib.sha256(path.read_bytes()) for name, path in sources.items()}
    assert {name: digest.hexdigest() for name, digest in digests.items()} == locked, (
        "a contract changed: run `npm ci --ignore-scripts && node build.mjs` in contracts/"
    )
    assert sorted(NAMES) == sorted(path.stem for path in sources.values())


def test_the_artifacts_are_the_ones_that_were_locked() -> None:
    lock = json.loads((CONTRACTS / "artifacts" / "lock.json").read_text(encoding="utf-8"))
    digests = {name: hashlib.sha256(artifact(name).bytecode).hexdigest() for name in NAMES}
    assert digests == lock["bytecode"]
