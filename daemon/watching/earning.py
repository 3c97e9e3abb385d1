"""What the logs of proven blocks earn. Pure: the rules are data, the chain is only read here."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Final

from contracts.events import Decoded, Mismatch
from contracts.logs import Log
from contracts.presets import Role
from contracts.rewards import REWARD_KINDS, Reward, RewardKind
from daemon.chain.evidence import LOG_INDEX_END, Kind, Violated, Watched
from daemon.chain.reading import Block
from daemon.chain.rewards import WITHDRAWALS_MAX, withdrawal_rlp
from daemon.configuration.followed_events import FollowedEvent, wanted
from daemon.configuration.rules import TooLarge, credits_for
from daemon.configuration.sources import Source
from daemon.configuration.waits import LongerWait, blocks_more
from ledger.credits import format_credits
from ledger.sightings import BLOCK, UNCLE, WITHDRAWAL
from ledger.watching import ADDS, EARNS, TAKES, SeenEvent, SetAside

_ROLES: Final[Mapping[Role, int]] = MappingProxyType({"earns": EARNS, "adds": ADDS, "takes": TAKES})
_ORDINALS: Final[Mapping[RewardKind, int]] = MappingProxyType(
    {"block": BLOCK, "uncle": UNCLE, "withdrawal": WITHDRAWAL}
)
# What the protocol gives comes after all logs of its block, kind by kind.
_PLACES: Final[Mapping[RewardKind, int]] = MappingProxyType(
    {kind: LOG_INDEX_END + number * WITHDRAWALS_MAX for number, kind in enumerate(REWARD_KINDS)}
)


@dataclass(frozen=True, slots=True)
class Followed:
    """A source and its number in the books."""

    source: Source
    rule_id: int


def kinds_of(followed: Sequence[Followed]) -> Watched:
    """Return the kinds of logs and of rewards that sources are about."""
    kinds: frozenset[Kind] = frozenset(
        (contract, each.event.topic0)
        for following in followed
        for contract in following.source.contracts
        for each in following.source.events
    )
    return kinds.union(
        following.source.produced.reward
        for following in followed
        if following.source.produced is not None
    )


@dataclass(frozen=True, slots=True)
class Earnings:
    """What was found in some blocks: events that earn, and what nobody may guess at."""

    events: tuple[SeenEvent, ...]
    set_aside: tuple[SetAside, ...]


def earnings_of(
    blocks: Sequence[Block], followed: Sequence[Followed], waits: Sequence[LongerWait]
) -> Earnings:
    """Return what logs and rewards of blocks earn or stake, in chain order, and how long it waits.

    A log belongs to a source by emitter, first topic and block. If it then decodes exactly as none
    of the source's events, or would earn more than a grant may be, it is set aside with the reason;
    so is a withdrawal that may be of what was staked. Raises Violated for two events of one
    identity: a transaction is in one block.
    """
    events: list[SeenEvent] = []
    set_aside: list[SetAside] = []
    for sighting in _of_blocks(blocks, followed):
        if isinstance(sighting, SetAside):
            set_aside.append(sighting)
        else:
            events.append(_waiting(sighting, waits) if waits else sighting)
    if len({(event.tx_hash, event.ordinal, event.role) for event in events}) < len(events):
        raise Violated(events[-1].block_number, "it or one just before has a transaction again")
    return Earnings(tuple(events), tuple(set_aside))


def _of_blocks(
    blocks: Sequence[Block], followed: Sequence[Followed]
) -> Iterator[SeenEvent | SetAside]:
    """Give all that blocks are to sources, in chain order."""
    candidates = _candidates(followed)
    producing = [each for each in followed if each.source.produced is not None]
    for block in blocks:
        for log in block.logs:
            kind = (log.address, log.topics[0] if log.topics else b"")
            for following, forms in candidates.get(kind, ()):
                if following.source.covers(block.number):
                    yield from _sightings(block, log, following, forms)
        for reward, following in product(block.rewards, producing):
            sighting = _rewarded(block, reward, following)
            if sighting is not None:
                yield sighting


def _waiting(event: SeenEvent, waits: Sequence[LongerWait]) -> SeenEvent:
    """Return an event with how long it waits: only what earns by itself has credits."""
    more = blocks_more(waits, event.credits)
    return replace(event, blocks_more=more) if more else event


_Candidates = Mapping[tuple[bytes, bytes], list[tuple[Followed, list[FollowedEvent]]]]


def _candidates(followed: Sequence[Followed]) -> _Candidates:
    """Return, by emitter and first topic, the sources with their events that a log may be."""
    found: dict[tuple[bytes, bytes], list[tuple[Followed, list[FollowedEvent]]]] = defaultdict(list)
    for following in followed:
        by_topic: dict[bytes, list[FollowedEvent]] = defaultdict(list)
        for each in following.source.events:
            by_topic[each.event.topic0].append(each)
        for contract in following.source.contracts:
            for topic, forms in by_topic.items():
                found[contract, topic].append((following, forms))
    return found


def _sightings(
    block: Block, log: Log, following: Followed, forms: Sequence[FollowedEvent]
) -> Iterator[SeenEvent | SetAside]:
    """Give what a log is to a source: of a transfer, two events; nothing of what it does not want.

    A log may be of one version of an event and not of another: it is set aside if it is of none.
    """
    current = [form for form in forms if form.covers(block.number)]
    read = [(form, form.event.decode(log)) for form in current]
    decoded = [(form, said) for form, said in read if isinstance(said, Decoded)]
    if current and not decoded:
        reasons = [said.reason for _, said in read if isinstance(said, Mismatch)]
        yield _set_aside(block, log, following, "; ".join(dict.fromkeys(reasons)))
        return
    for form, said in wanted(decoded):
        sighting = _sighting(block, log, following, form, said)
        if sighting is not None:
            yield sighting


def _sighting(
    block: Block, log: Log, following: Followed, form: FollowedEvent, said: Decoded
) -> SeenEvent | SetAside | None:
    if said.amount == 0:  # anybody can send nothing for anybody
        return None
    credits_micro = 0
    if form.role == "earns":
        earned = _earned(block, following, said.amount)
        if isinstance(earned, str):
            return _set_aside(block, log, following, earned)
        credits_micro = earned
    return SeenEvent(
        block_number=block.number,
        tx_hash=log.tx_hash,
        ordinal=log.ordinal,
        role=_ROLES[form.role],
        log_index=log.log_index,
        rule_id=following.rule_id,
        wallet=said.wallet,
        amount=said.amount,
        credits=credits_micro,
    )


def _earned(block: Block, following: Followed, amount: int) -> int | str:
    """Return the micro-credits that an amount earns, or why nobody gets them by themselves."""
    earned = credits_for(following.source.rule, amount, block.time)
    if isinstance(earned, TooLarge):
        said = format_credits(earned.credits_micro)
        return f"it would earn {said} credits: more than one grant may be"
    return earned


def _rewarded(block: Block, reward: Reward, following: Followed) -> SeenEvent | SetAside | None:
    """Return what a reward is to a source, None if it is none of its own, or nothing."""
    source = following.source
    if source.produced is None or not (
        source.covers(block.number) and source.produced.wants(reward) and reward.amount
    ):
        return None
    earned = source.produced.doubt(reward) or _earned(block, following, reward.amount)
    if isinstance(earned, str):
        return _reward_set_aside(block, reward, following, earned)
    return SeenEvent(
        block_number=block.number,
        tx_hash=reward.identity,
        ordinal=_ORDINALS[reward.kind],
        role=EARNS,
        log_index=_PLACES[reward.kind] + reward.position,
        rule_id=following.rule_id,
        wallet=reward.wallet,
        amount=reward.amount,
        credits=earned,
    )


def _reward_set_aside(block: Block, reward: Reward, following: Followed, reason: str) -> SetAside:
    index = int.from_bytes(reward.identity)
    return SetAside(
        block_number=block.number,
        tx_hash=reward.identity,
        ordinal=_ORDINALS[reward.kind],
        log_index=_PLACES[reward.kind] + reward.position,
        rule_id=following.rule_id,
        address=reward.wallet,
        topics=(),
        data=b""
        if reward.validator is None
        else withdrawal_rlp(index, reward.validator, reward.wallet, reward.amount),
        reason=f"{reward.said}: {reason}",
    )


def _set_aside(block: Block, log: Log, following: Followed, reason: str) -> SetAside:
    return SetAside(
        block_number=block.number,
        tx_hash=log.tx_hash,
        ordinal=log.ordinal,
        log_index=log.log_index,
        rule_id=following.rule_id,
        address=log.address,
        topics=log.topics,
        data=log.data,
        reason=reason,
    )
