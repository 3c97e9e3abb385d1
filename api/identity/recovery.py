"""Which address signed: recovered from the signature, with secp256k1 in C."""

from typing import Final

from coincurve import PublicKey
from eth_hash.auto import keccak

KEY_SIGNATURE_BYTES: Final = 65  # r, s and v; the compact 64 of ERC-2098 are not taken

_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_RECOVERY_OF_V: Final = {0: 0, 1: 1, 27: 0, 28: 1}


def recover(hashed: bytes, signature: bytes) -> bytes | None:
    """Return the address whose key signed a hash, None if the signature is none of a key.

    Of the two signatures that one can be turned into without the key, only that with the lower
    `s` is taken (EIP-2), and `v` is 0, 1, 27 or 28.
    """
    if len(signature) != KEY_SIGNATURE_BYTES:
        return None
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    recovery = _RECOVERY_OF_V.get(signature[64])
    if recovery is None or not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        return None
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([recovery]), hashed, hasher=None
        )
    except ValueError:  # no point of the curve has this r
        return None
    return keccak(key.format(compressed=False)[1:])[-20:]
