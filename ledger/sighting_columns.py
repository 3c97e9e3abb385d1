"""What was seen, as the columns that the functions of the books take."""

from collections.abc import Sequence

from ledger.array_parameters import bigints, byteas, integers, smallints, texts
from ledger.sightings import SeenEvent, SetAside


def event_columns(events: Sequence[SeenEvent]) -> tuple[object, ...]:
    """Return what events are, from their transactions to their credits; not of which blocks."""
    return (
        byteas([event.tx_hash for event in events]),
        integers([event.ordinal for event in events]),
        smallints([event.role for event in events]),
        integers([event.log_index for event in events]),
        integers([event.rule_id for event in events]),
        byteas([event.wallet for event in events]),
        texts([str(event.amount) for event in events]),
        bigints([event.credits for event in events]),
    )


def aside_columns(logs: Sequence[SetAside]) -> tuple[object, ...]:
    """Return what is set aside, from the transactions to the reasons; not of which blocks."""
    return (
        byteas([log.tx_hash for log in logs]),
        integers([log.ordinal for log in logs]),
        integers([log.log_index for log in logs]),
        integers([log.rule_id for log in logs]),
        byteas([log.address for log in logs]),
        texts([" ".join(topic.hex() for topic in log.topics) for log in logs]),
        byteas([log.data for log in logs]),
        texts([log.reason for log in logs]),
    )
