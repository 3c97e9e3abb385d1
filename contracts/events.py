"""How an event becomes a decoder.

A signature's text is the source of its decoder: `Staked(address indexed user,uint256 amount)` says
the first topic, how many topics there are, how long the data is and what every word must look like.
A log that differs in any of these is not this event. The first topic alone proves nothing:
`Withdraw(address,uint256,uint256)` is one event of numbered pools and another of vote escrows, and
an ERC-721 Transfer starts like an ERC-20 one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self, cast

from contracts.hashing import keccak
from contracts.logs import ADDRESS_LENGTH, TOPICS_MAX, WORD_LENGTH, Log

_EVENT: Final = re.compile(r"([A-Za-z_$][\w$]*)\((.*)\)", re.ASCII)
_PARAMETER: Final = re.compile(r"(\S+)( indexed)? ([A-Za-z_$][\w$]*)", re.ASCII)
_ARRAY: Final = re.compile(r"(.+)\[\]", re.ASCII)
_INTEGER: Final = re.compile(r"(u?)int([1-9][0-9]{0,2})", re.ASCII)
_PADDING: Final = bytes(WORD_LENGTH - ADDRESS_LENGTH)

# One word's value, or None where the word is not one of its type.
_Read = Callable[[bytes], int | bytes | None]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a log says.

    `wallet` is the 20-byte address it is about and `amount` how much, in the contract's smallest
    unit. `fields` holds every parameter of one word by its name: addresses as 20 bytes, bytes32 as
    32 bytes, integers as they are, bool as 0 or 1; of an indexed parameter that is longer, its
    hash.
    """

    wallet: bytes
    amount: int
    fields: Mapping[str, int | bytes]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The log is not the event. `reason` says what was expected and what was found."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an event, and where its word is.

    `position` is an index into the topics of an indexed parameter, and an offset in bytes into the
    data of any other. `read` is None where the word there only says where its value is.
    """

    name: str
    abi_type: str
    indexed: bool
    position: int
    read: _Read | None = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class EventType:
    """An event by its signature; made by `parse`.

    `topic0` is the hash of the signature, `topic_count` counts it and every indexed parameter,
    `data_length` is in bytes: exactly so many, or, if it `has_tail`, at least.
    `wallet` and `amount` name the parameters that say who and how much.
    """

    name: str
    signature: str
    topic0: bytes
    topic_count: int
    data_length: int
    wallet: str
    amount: str
    parameters: tuple[Parameter, ...] = field(repr=False)
    has_tail: bool = False  # values of any length, behind the words of the data

    @classmethod
    def parse(cls, signature: str, *, name: str, wallet: str, amount: str) -> Self:
        """Return the event that a signature such as `Paid(address to,uint256 sum)` declares.

        Every parameter needs a name and a type: one that fills a word (address, bool, bytes32,
        uint8 to uint256, int8 to int256), bytes, string, or an array of words such as `uint256[]`.
        `wallet` must be an address, `amount` an unsigned integer.

        Raises ValueError, with the signature and what to change in it, for anything else.
        """
        signature = " ".join(signature.split())
        match = _EVENT.fullmatch(signature)
        if match is None:
            raise ValueError(
                f"{name}: {signature!r} is not an event:"
                " write it as Name(type name,type indexed name), without `event` and `;`"
            )
        parameters = _parameters(match.group(2), name)
        types = {parameter.name: parameter.abi_type for parameter in parameters}
        if types.get(wallet) != "address":
            raise ValueError(f"{name}: the wallet {wallet!r} is not an address of {signature!r}")
        if not re.fullmatch(r"uint[0-9]+", types.get(amount, "")):
            raise ValueError(
                f"{name}: the amount {amount!r} is not an unsigned integer of {signature!r}"
            )
        canonical = f"{match.group(1)}({','.join(p.abi_type for p in parameters)})"
        indexed_count = sum(parameter.indexed for parameter in parameters)
        return cls(
            name=name,
            signature=signature,
            topic0=keccak(canonical.encode("ascii")),
            topic_count=1 + indexed_count,
            data_length=WORD_LENGTH * (len(parameters) - indexed_count),
            wallet=wallet,
            amount=amount,
            parameters=parameters,
            has_tail=any(parameter.read is None for parameter in parameters),
        )

    def decode(self, log: Log) -> Decoded | Mismatch:
        """Return what the log says if it is exactly this event, or why it is not.

        Checked are the first topic, the number of topics, the length of the data and that every
        word is a clean value of its type. The emitter is not: any contract can emit any log, so
        the caller has made sure that `log.address` is the contract it follows.
        """
        if not log.topics or log.topics[0] != self.topic0:
            found = f"0x{log.topics[0].hex()}" if log.topics else "no topic"
            return Mismatch(f"{self.name} starts with 0x{self.topic0.hex()}, the log with {found}")
        if len(log.topics) != self.topic_count:
            return Mismatch(f"{self.name} has {self.topic_count} topics, the log {len(log.topics)}")
        beyond = len(log.data) - self.data_length
        if beyond < 0 or (beyond > 0 and not self.has_tail):
            least = "at least " if self.has_tail else ""
            return Mismatch(
                f"{self.name} has {least}{self.data_length} bytes of data, the log {len(log.data)}"
            )
        fields: dict[str, int | bytes] = {}
        for parameter in self.parameters:
            if parameter.read is None:
                continue
            start = parameter.position
            word = log.topics[start] if parameter.indexed else log.data[start : start + WORD_LENGTH]
            value = parameter.read(word)
            if value is None:
                return Mismatch(
                    f"{parameter.name} of {self.name} is {parameter.abi_type},"
                    f" which the log's word 0x{word.hex()} is not"
                )
            fields[parameter.name] = value
        if self.has_tail and not self._is_clean(log.data):
            return Mismatch(f"the data of the log is not what {self.name} encodes to")
        # parse() made sure that the one is an address and the other an unsigned integer.
        wallet, amount = cast("bytes", fields[self.wallet]), cast("int", fields[self.amount])
        return Decoded(wallet, amount, fields)

    def _is_clean(self, data: bytes) -> bool:
        """Return whether the data is what its values encode to, without a byte more."""
        from eth_abi.abi import decode, encode  # noqa: PLC0415 - half a second that few need
        from eth_abi.exceptions import DecodingError, EncodingError  # noqa: PLC0415 - as above

        types = [each.abi_type for each in self.parameters if not each.indexed]
        try:
            return encode(types, decode(types, data)) == data
        except (DecodingError, EncodingError, UnicodeDecodeError, OverflowError):
            return False


def _parameters(text: str, event: str) -> tuple[Parameter, ...]:
    parameters: list[Parameter] = []
    topic, offset = 1, 0
    for part in text.split(",") if text.strip() else ():
        match = _PARAMETER.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                f"{event}: {part.strip()!r} is not a parameter:"
                " write a type, `indexed` where it is, and a name"
            )
        abi_type, indexed, name = match.group(1), match.group(2) is not None, match.group(3)
        if name in {parameter.name for parameter in parameters} or name == "indexed":
            raise ValueError(f"{event}: the parameter {part.strip()!r} needs a name of its own")
        position = topic if indexed else offset
        read = _reader(abi_type, event, indexed=indexed)
        parameters.append(Parameter(name, abi_type, indexed, position, read))
        topic, offset = (topic + 1, offset) if indexed else (topic, offset + WORD_LENGTH)
    if topic > TOPICS_MAX:
        raise ValueError(f"{event}: at most 3 parameters can be indexed, these are {topic - 1}")
    return tuple(parameters)


def _reader(abi_type: str, event: str, *, indexed: bool) -> _Read | None:
    """Return what reads a parameter's word; None where its value is elsewhere in the data."""
    array = _ARRAY.fullmatch(abi_type)
    if array is not None:
        _word_reader(array.group(1), event)
    elif abi_type not in ("bytes", "string"):
        return _word_reader(abi_type, event)
    return bytes if indexed else None  # a topic has the hash of a value that is longer


def _word_reader(word_type: str, event: str) -> _Read:
    match word_type:
        case "address":
            return _read_address
        case "bytes32":
            return bytes
        case "bool":
            return partial(_read_unsigned, 1)
    integer = _INTEGER.fullmatch(word_type)
    if integer is not None:
        bits = int(integer.group(2))
        if bits <= 256 and bits % 8 == 0:  # noqa: PLR2004 - the widths Solidity has
            return partial(_read_unsigned if integer.group(1) else _read_signed, bits)
    raise ValueError(
        f"{event}: {word_type!r} is not a type that is known here: address, bool, bytes32, uint8 to"
        " uint256, int8 to int256, bytes, string and arrays of words such as uint256[] are"
        " (`uint` is uint256, an enum uint8, a contract address)"
    )


def _read_address(word: bytes) -> bytes | None:
    return word[-ADDRESS_LENGTH:] if word.startswith(_PADDING) else None


def _read_unsigned(bits: int, word: bytes) -> int | None:
    value = int.from_bytes(word)
    return value if value >> bits == 0 else None


def _read_signed(bits: int, word: bytes) -> int | None:
    value = int.from_bytes(word, signed=True)
    # What is above the lowest bits must repeat the sign: 0 or, in two's complement, -1.
    return value if value >> (bits - 1) in {0, -1} else None
