"""Keccak-256, as Ethereum hashes: 32 bytes of any bytes."""

try:  # the extra `fast`
    from eth_hash.backends.pysha3 import keccak256 as keccak
except ImportError:
    from eth_hash.backends.pycryptodome import keccak256 as keccak

__all__ = ["keccak"]
