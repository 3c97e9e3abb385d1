"""What the logs of proven blocks earn, and what is set aside rather than guessed at."""

from dataclasses import replace

import pytest
from fakechain import Event, FakeChain, minted, reward_paid, staked, withdrawn

from contracts.catalogue import EVENTS
from contracts.logs import Log
from daemon.chain.reading import Block
from daemon.configuration.followed_events import FollowedEvent
from daemon.configuration.rules import GRANT_MAX_MICRO, Rule
from daemon.configuration.sources import Source
from daemon.watching.earning import Earnings, Followed, earnings_of
from ledger.watching import SeenEvent, SetAside

VAULT = b"\xca" * 20
MINE = b"\xcb" * 20
STRANGER = b"\xcc" * 20
ALICE = b"\xa1" * 20
BOB = b"\xb0" * 20
TOKEN = 10**18
UINT256_MAX = 2**256 - 1


def source(
    name: str = "stakes",
    *,
    contract: bytes = VAULT,
    event: str = "staking-rewards.Staked",
    from_block: int = 0,
    to_block: int | None = None,
    rule: Rule | None = None,
) -> Source:
    rule = rule or Rule(credits_micro=10_000_000, per_base_units=TOKEN)
    return Source(name, (contract,), (FollowedEvent(EVENTS[event]),), from_block, to_block, rule)


def narrowed(of: Source, **where: int | bytes) -> Source:
    """The source where its event's fields are so."""
    return replace(of, events=(replace(of.events[0], where=tuple(where.items())),))


def followed(*sources: Source) -> tuple[Followed, ...]:
    return tuple(Followed(each, 70 + no) for no, each in enumerate(sources))


def block_of(*events: Event) -> Block:
    """Block 1 of a chain, with a transaction for each event."""
    chain = FakeChain()
    return chain.mine(*events).seen_by([VAULT, MINE, STRANGER])


def earned(*events: Event, by: Source | None = None) -> Earnings:
    return earnings_of([block_of(*events)], followed(by or source()), ())


def test_an_event_earns_for_its_wallet_by_its_rule() -> None:
    block = block_of(staked(VAULT, ALICE, 3 * TOKEN // 2))
    (log,) = block.logs
    assert earnings_of([block], followed(source()), ()) == Earnings(
        events=(
            SeenEvent(
                block_number=1,
                tx_hash=log.tx_hash,
                ordinal=0,
                role=0,
                log_index=0,
                rule_id=70,
                wallet=ALICE,
                amount=3 * TOKEN // 2,
                credits=15_000_000,
            ),
        ),
        set_aside=(),
    )


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("staking-rewards.Staked", staked(VAULT, ALICE, 7)),
        ("staking-rewards.Withdrawn", withdrawn(VAULT, ALICE, 7)),
        ("staking-rewards.RewardPaid", reward_paid(VAULT, ALICE, 7)),
        ("eip918.Mint", minted(VAULT, ALICE, 7)),
    ],
)
def test_each_event_of_a_contract_is_followed_by_itself(name: str, event: Event) -> None:
    others = [
        staked(VAULT, BOB, 1),
        withdrawn(VAULT, BOB, 1),
        reward_paid(VAULT, BOB, 1),
        minted(VAULT, BOB, 1),
    ]
    found = earned(*others, event, by=source(event=name)).events
    assert [(each.wallet, each.amount) for each in found] == [(BOB, 1), (ALICE, 7)]


def test_the_same_event_of_another_contract_earns_nothing() -> None:
    assert earned(staked(STRANGER, ALICE, TOKEN)) == Earnings((), ())


def test_a_log_without_topics_earns_nothing() -> None:
    assert earned(Event(VAULT, (), b"")) == Earnings((), ())


def test_events_come_in_chain_order_with_their_place_in_the_transaction() -> None:
    chain = FakeChain()
    first = chain.mine(chain.tx(minted(MINE, BOB, 1), staked(VAULT, ALICE, 2)))
    second = chain.mine(staked(VAULT, BOB, 3), chain.tx(staked(VAULT, ALICE, 4)))
    blocks = [block.seen_by([VAULT, MINE]) for block in (first, second)]
    found = earnings_of(
        blocks, followed(source(), source("mining", contract=MINE, event="eip918.Mint")), ()
    ).events
    assert [
        (each.block_number, each.ordinal, each.log_index, each.rule_id, each.amount)
        for each in found
    ] == [(1, 0, 0, 71, 1), (1, 1, 1, 70, 2), (2, 0, 0, 70, 3), (2, 0, 1, 70, 4)]


@pytest.mark.parametrize(
    ("number", "earns"), [(9, False), (10, True), (15, True), (20, True), (21, False)]
)
def test_a_source_earns_from_its_first_block_to_its_last(number: int, earns: bool) -> None:
    block = replace(block_of(staked(VAULT, ALICE, TOKEN)), number=number)
    found = earnings_of([block], followed(source(from_block=10, to_block=20)), ())
    assert (len(found.events), found.set_aside) == (int(earns), ())


def test_a_near_miss_before_the_source_begins_is_not_set_aside() -> None:
    near = Event(VAULT, staked(VAULT, ALICE, 1).topics, b"")
    assert earned(near, by=source(from_block=2)) == Earnings((), ())


def test_consecutive_sources_of_one_event_each_take_their_own_blocks() -> None:
    chain = FakeChain()
    chain.mine_empty(4)
    blocks = [chain.mine(staked(VAULT, ALICE, TOKEN)).seen_by([VAULT]) for _ in range(2)]
    generous = Rule(credits_micro=20_000_000, per_base_units=TOKEN)
    both = followed(source(to_block=5), source("later", from_block=6, rule=generous))
    found = earnings_of(blocks, both, ())
    assert [(each.rule_id, each.credits) for each in found.events] == [
        (70, 10_000_000),
        (71, 20_000_000),
    ]


@pytest.mark.parametrize(
    ("near", "reason"),
    [
        (Event(VAULT, staked(VAULT, ALICE, 1).topics[:1], ALICE.rjust(64, b"\0")), "2 topics"),
        (Event(VAULT, (*staked(VAULT, ALICE, 1).topics, bytes(32)), bytes(32)), "2 topics"),
        (Event(VAULT, staked(VAULT, ALICE, 1).topics, bytes(31)), "32 bytes of data"),
        (Event(VAULT, staked(VAULT, ALICE, 1).topics, bytes(64)), "32 bytes of data"),
        (Event(VAULT, staked(VAULT, ALICE, 1).topics, b""), "32 bytes of data"),
        (Event(VAULT, (staked(VAULT, ALICE, 1).topics[0], b"\1" * 32), bytes(32)), "user"),
    ],
)
def test_a_log_that_does_not_decode_exactly_is_set_aside_as_it_is(near: Event, reason: str) -> None:
    block = block_of(staked(VAULT, BOB, TOKEN), near)
    log = block.logs[1]
    found = earnings_of([block], followed(source()), ())
    assert [each.wallet for each in found.events] == [BOB]
    (aside,) = found.set_aside
    assert reason in aside.reason
    assert aside == SetAside(
        block_number=1,
        tx_hash=log.tx_hash,
        ordinal=0,
        log_index=1,
        rule_id=70,
        address=VAULT,
        topics=near.topics,
        data=near.data,
        reason=aside.reason,
    )


def test_an_event_that_would_earn_too_much_is_set_aside() -> None:
    one_to_one = Rule(credits_micro=1, per_base_units=1)
    most = earned(staked(VAULT, ALICE, GRANT_MAX_MICRO), by=source(rule=one_to_one))
    assert [each.credits for each in most.events] == [GRANT_MAX_MICRO]
    for amount in (GRANT_MAX_MICRO + 1, UINT256_MAX):
        found = earned(staked(VAULT, ALICE, amount), by=source(rule=one_to_one))
        assert found.events == ()
        (aside,) = found.set_aside
        assert "more than one grant may be" in aside.reason


def test_a_cap_per_event_makes_too_much_bearable() -> None:
    capped = Rule(credits_micro=1, per_base_units=1, max_per_event_micro=5)
    found = earned(staked(VAULT, ALICE, UINT256_MAX), by=source(rule=capped))
    assert [(each.amount, each.credits) for each in found.events] == [(UINT256_MAX, 5)]
    assert found.set_aside == ()


def test_an_amount_too_small_to_earn_is_seen_all_the_same() -> None:
    (found,) = earned(staked(VAULT, ALICE, 1)).events
    assert (found.wallet, found.amount, found.credits) == (ALICE, 1, 0)


def test_what_has_no_amount_is_no_event_for_anybody_can_make_it_for_anybody() -> None:
    assert earned(staked(VAULT, BOB, 0)) == Earnings((), ())


def test_no_blocks_and_no_sources_earn_nothing() -> None:
    assert earnings_of([], followed(source()), ()) == Earnings((), ())
    assert earnings_of([block_of(staked(VAULT, ALICE, TOKEN))], (), ()) == Earnings((), ())


def test_what_a_log_earns_does_not_depend_on_its_block() -> None:
    log = Log(VAULT, staked(VAULT, ALICE, TOKEN).topics, TOKEN.to_bytes(32), b"\x77" * 32, 3, 9)
    blocks = [Block(5, b"\1" * 32, bytes(32), 60, (log,)), Block(8, b"\2" * 32, bytes(32), 99, ())]
    moved = [replace(blocks[1], logs=(replace(log, log_index=3),))]
    (here,) = earnings_of(blocks, followed(source()), ()).events
    (there,) = earnings_of(moved, followed(source()), ()).events
    assert replace(there, block_number=5, log_index=9) == here


# Which events of a contract a source is about -----------------------------------------------------

DEPOSIT = EVENTS["masterchef.Deposit"]
TRANSFER = EVENTS["erc20.Transfer"]


def deposit(wallet: bytes, pool: int, amount: int) -> Event:
    topics = (DEPOSIT.topic0, wallet.rjust(32, b"\0"), pool.to_bytes(32))
    return Event(VAULT, topics, amount.to_bytes(32))


def transfer(sender: bytes, receiver: bytes, amount: int) -> Event:
    topics = (TRANSFER.topic0, sender.rjust(32, b"\0"), receiver.rjust(32, b"\0"))
    return Event(VAULT, topics, amount.to_bytes(32))


def test_of_numbered_pools_only_those_earn_that_are_wanted() -> None:
    block = block_of(deposit(ALICE, 3, TOKEN), deposit(BOB, 4, TOKEN), deposit(BOB, 5, TOKEN))
    pools = [
        narrowed(source(f"pool-{pool}", event="masterchef.Deposit"), pid=pool) for pool in (3, 4)
    ]
    found = earnings_of([block], followed(*pools), ())
    assert [(each.wallet, each.rule_id) for each in found.events] == [(ALICE, 70), (BOB, 71)]
    assert found.set_aside == ()


def test_what_comes_in_earns_but_not_what_one_sends_to_oneself_or_is_made() -> None:
    incoming = narrowed(source(event="erc20.Transfer"), to=MINE)
    found = earned(
        transfer(ALICE, MINE, 5 * TOKEN),
        transfer(ALICE, BOB, TOKEN),
        transfer(MINE, MINE, TOKEN),
        transfer(bytes(20), MINE, TOKEN),
        by=incoming,
    )
    assert [(each.wallet, each.amount) for each in found.events] == [(ALICE, 5 * TOKEN)]
    assert found.set_aside == ()


def test_the_transfer_of_a_single_thing_is_set_aside_not_taken_for_an_amount() -> None:
    topics = (*transfer(ALICE, MINE, 0).topics, (7).to_bytes(32))
    incoming = narrowed(source(event="erc20.Transfer"), to=MINE)
    found = earned(Event(VAULT, topics, b""), by=incoming)
    assert found.events == ()
    assert [each.reason for each in found.set_aside] == ["erc20.Transfer has 3 topics, the log 4"]
