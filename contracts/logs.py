"""A log, as bytes."""

from dataclasses import dataclass
from typing import Final

ADDRESS_LENGTH: Final = 20
WORD_LENGTH: Final = 32
TOPICS_MAX: Final = 4  # the EVM has LOG0 to LOG4


@dataclass(frozen=True, slots=True)
class Log:
    """One log of one transaction's receipt.

    `address` is the emitter (20 bytes), `topics` at most four words of 32 bytes, `data` of any
    length, `tx_hash` 32 bytes. `ordinal` counts the logs of the log's own transaction from 0, so
    it survives re-inclusion in another block; `log_index` counts those of the block.

    Raises ValueError where a length or a position cannot be a log's.
    """

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    tx_hash: bytes
    ordinal: int
    log_index: int

    def __post_init__(self) -> None:
        if len(self.address) != ADDRESS_LENGTH:
            raise ValueError(f"an address has 20 bytes, this one {len(self.address)}")
        if len(self.tx_hash) != WORD_LENGTH:
            raise ValueError(f"a transaction hash has 32 bytes, this one {len(self.tx_hash)}")
        if len(self.topics) > TOPICS_MAX:
            raise ValueError(f"a log has at most 4 topics, this one {len(self.topics)}")
        for topic in self.topics:
            if len(topic) != WORD_LENGTH:
                raise ValueError(f"a topic has 32 bytes, this one {len(topic)}")
        if not 0 <= self.ordinal <= self.log_index:
            raise ValueError(
                f"log {self.log_index} of a block cannot be log {self.ordinal} of its transaction"
            )
