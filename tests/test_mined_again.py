"""The fake chain itself: what it mines is what a chain would."""

from fakechain import FakeChain, MinedBlock, staked

POOL, OTHER = b"\x01" * 20, b"\x03" * 20
ANN, BEN = b"\xa1" * 20, b"\xb1" * 20


def test_a_transaction_mined_again_keeps_its_hash_and_ordinals() -> None:
    chain = FakeChain()
    tx = chain.tx(staked(POOL, ANN, 1), staked(POOL, ANN, 2))

    def identities(block: MinedBlock) -> list[tuple[bytes, int]]:
        return [(log.tx_hash, log.ordinal) for log in block.logs if log.address == POOL]

    a = chain.mine(tx)
    chain.fork_from(0)
    b = chain.mine(staked(OTHER, BEN, 5), tx)
    assert a.hash != b.hash
    assert identities(a) == identities(b)
    assert [log.log_index for log in b.logs if log.address == POOL] == [1, 2]


def test_branches_differ_even_where_they_hold_the_same() -> None:
    chain = FakeChain()
    a = chain.mine().hash
    chain.fork_from(0)
    assert chain.mine().hash != a
    assert chain.head.logs == ()
