import contextlib
from typing import Any

import pytest
from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.numeric import Uint
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.chain.trie import (
    BadPath,
    ordered_proof,
    ordered_root,
    proven_value,
    rlp_bytes,
    rlp_decoded,
    rlp_integer,
    rlp_list,
)

VALUES = st.lists(st.binary(min_size=1, max_size=90), min_size=1, max_size=300)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=40))
def test_short_values_stand_inside_their_parents_as_specified(values: list[bytes]) -> None:
    trie: Trie[Any, Any] = Trie(secured=False, default=None)
    for position, value in enumerate(values):
        trie_set(trie, rlp.encode(Uint(position)), value)
    assert ordered_root(values) == bytes(root(trie))


@given(st.recursive(st.binary(max_size=80), lambda items: st.lists(items, max_size=6)))
def test_rlp_is_encoded_as_specified(value: Any) -> None:  # noqa: ANN401 - nested lists
    def ours(part: Any) -> bytes:  # noqa: ANN401 - nested lists
        return rlp_bytes(part) if isinstance(part, bytes) else rlp_list(map(ours, part))

    assert ours(value) == rlp.encode(value)


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_integers_are_encoded_as_specified(value: int) -> None:
    assert rlp_integer(value) == rlp.encode(Uint(value))


@given(
    st.recursive(st.binary(max_size=80), lambda items: st.lists(items, max_size=6), max_leaves=8)
)
def test_rlp_is_decoded_as_it_was_encoded(value: Any) -> None:  # noqa: ANN401 - nested lists
    encoded = rlp.encode(value)
    with contextlib.suppress(BadPath):  # nested more deeply than a receipt ever is
        assert rlp_decoded(encoded) == value
    with pytest.raises(BadPath):
        rlp_decoded(encoded + b"\0")


@given(st.binary(max_size=40))
def test_bytes_decode_as_rlp_only_in_the_one_way_they_are_encoded(data: bytes) -> None:
    with contextlib.suppress(BadPath):
        assert rlp.encode(rlp_decoded(data)) == data


@settings(deadline=None, max_examples=60)
@given(VALUES, st.data())
def test_a_value_is_proven_by_its_path_alone(values: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(values) - 1))
    proof = ordered_proof(values, position)
    root = ordered_root(values)
    assert proven_value(root, position, proof) == values[position]
    assert len(proof) <= 5
    other = data.draw(st.integers(0, 2 * len(values)))
    if other != position:
        with contextlib.suppress(BadPath):  # short nodes stand in the path of another
            assert proven_value(root, other, proof) == values[other]
    for changed in (proof[:-1], [*proof, proof[-1]], proof[::-1] if len(proof) > 1 else []):
        with pytest.raises(BadPath):
            proven_value(root, position, changed)


@settings(deadline=None, max_examples=100)
@given(VALUES, st.data())
def test_a_path_with_a_byte_changed_proves_nothing(
    values: list[bytes], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(values) - 1))
    proof = ordered_proof(values, position)
    which = data.draw(st.integers(0, len(proof) - 1))
    place = data.draw(st.integers(0, len(proof[which]) - 1))
    node = bytearray(proof[which])
    node[place] ^= data.draw(st.integers(1, 255))
    proof[which] = bytes(node)
    with pytest.raises(BadPath):
        proven_value(ordered_root(values), position, proof)


@pytest.mark.parametrize("position", [-1, 3])
def test_there_is_no_path_to_a_value_that_is_not_there(position: int) -> None:
    with pytest.raises(IndexError):
        ordered_proof([b"a", b"b", b"c"], position)
