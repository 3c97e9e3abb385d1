from typing import Any

from ethereum.forks.osaka.trie import Trie, root, trie_set
from ethereum_rlp import rlp
from ethereum_types.numeric import Uint
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.trie import ordered_root, rlp_bytes, rlp_integer, rlp_list


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
