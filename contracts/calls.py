"""The bytes of calls to a contract, and what its answers mean.

Addresses are 20 bytes on both sides; everything else is what eth_abi takes and gives.
"""

from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from contracts.artifacts import Artifact
from contracts.number_calls import selector


def encode_call(contract: Artifact, function: str, *arguments: object) -> bytes:
    """Return the call data of `function(*arguments)`.

    Raises ValueError where the contract has no such function or it takes another number of
    arguments, and eth_abi's EncodingError where an argument is not of its type.
    """
    types = _types(_function(contract, function)["inputs"])
    signature = f"{function}({','.join(types)})"
    return selector(signature) + _encoded(f"{contract.name}.{function}", types, arguments)


def encode_deployment(contract: Artifact, *arguments: object) -> bytes:
    """Return the data of the transaction that deploys the contract. Raises as `encode_call`."""
    constructors = [entry for entry in contract.abi if entry["type"] == "constructor"]
    types = _types(constructors[0]["inputs"]) if constructors else []
    return contract.bytecode + _encoded(f"{contract.name}'s constructor", types, arguments)


def decode_result(contract: Artifact, function: str, data: bytes) -> tuple[Any, ...]:
    """Return what a call of `function` answered: one value per output, in the ABI's order.

    Raises ValueError where the contract has no such function, or the data is not its answer (an
    empty one mostly means that there is no contract at the address).
    """
    types = _types(_function(contract, function)["outputs"])
    try:
        values = decode(types, data)
    except DecodingError as error:
        raise ValueError(
            f"0x{data[:64].hex()} is no answer of {contract.name}.{function}:"
            " is the contract deployed at that address?"
        ) from error
    return tuple(
        bytes.fromhex(value.removeprefix("0x")) if of == "address" else value
        for of, value in zip(types, values, strict=True)
    )


def _function(contract: Artifact, name: str) -> dict[str, Any]:
    found = [
        entry for entry in contract.abi if entry["type"] == "function" and entry["name"] == name
    ]
    # An overloaded name would need its types to be told apart; no contract here has one.
    if len(found) != 1:
        raise ValueError(f"{contract.name} has {len(found)} functions {name!r}, not one")
    return found[0]


def _types(parameters: list[dict[str, Any]]) -> list[str]:
    return [parameter["type"] for parameter in parameters]


def _encoded(what: str, types: list[str], arguments: tuple[object, ...]) -> bytes:
    if len(types) != len(arguments):
        raise ValueError(f"{what} takes ({', '.join(types)}), not {len(arguments)} arguments")
    return encode(types, arguments)
