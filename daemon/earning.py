"""What the logs of proven blocks earn. Pure: the rules are data, the chain is only read here."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.events import Mismatch
from contracts.logs import Log
from daemon.reading import Block
from daemon.rules import TooLarge, credits_for
from daemon.sources import Source
from ledger.credits import format_credits
from ledger.watching import SeenEvent, SetAside


@dataclass(frozen=True, slots=True)
class Followed:
    """A source and its number in the books."""

    source: Source
    rule_id: int


@dataclass(frozen=True, slots=True)
class Earnings:
    """What was found in some blocks: events that earn, and logs nobody may guess at."""

    events: tuple[SeenEvent, ...]
    set_aside: tuple[SetAside, ...]


def earnings_of(blocks: Sequence[Block], followed: Sequence[Followed]) -> Earnings:
    """Return what the blocks' logs earn, in chain order.

    A log belongs to a source by emitter, first topic and block. If it then does not decode
    exactly, or would earn more than a grant may be, it is set aside with the reason.
    """
    by_kind: dict[tuple[bytes, bytes], list[Followed]] = defaultdict(list)
    for following in followed:
        by_kind[following.source.contract, following.source.event.topic0].append(following)
    events: list[SeenEvent] = []
    set_aside: list[SetAside] = []
    for block in blocks:
        for log in block.logs:
            for following in by_kind.get((log.address, log.topics[0] if log.topics else b""), ()):
                if not following.source.covers(block.number):
                    continue
                match _sighting(block, log, following):
                    case SeenEvent() as event:
                        events.append(event)
                    case SetAside() as aside:
                        set_aside.append(aside)
    return Earnings(tuple(events), tuple(set_aside))


def _sighting(block: Block, log: Log, following: Followed) -> SeenEvent | SetAside | None:
    """Return what a log is to a source; None if it is another event than the source is about."""
    decoded = following.source.event.decode(log)
    if isinstance(decoded, Mismatch):
        return _set_aside(block, log, following, decoded.reason)
    if not following.source.wants(decoded):
        return None
    credits_micro = credits_for(following.source.rule, decoded.amount)
    if isinstance(credits_micro, TooLarge):
        return _set_aside(
            block,
            log,
            following,
            f"it would earn {format_credits(credits_micro.credits_micro)} credits:"
            " more than one grant may be",
        )
    return SeenEvent(
        block_number=block.number,
        tx_hash=log.tx_hash,
        ordinal=log.ordinal,
        role=0,
        log_index=log.log_index,
        rule_id=following.rule_id,
        wallet=decoded.wallet,
        amount=decoded.amount,
        credits=credits_micro,
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
