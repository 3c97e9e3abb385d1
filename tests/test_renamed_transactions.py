"""Which transaction a log is of, no header proves: a node that names another one gains nothing."""

import asyncio
import copy
import json
from collections.abc import Mapping

import pytest
from fakechain import FakeChain
from fakenode import serve
from missed import block_of, event_of, place_of, read
from scene import ALICE, BOB, CREDIT, DEPTH, Scene, scene

from daemon.rereading.making_good import verify
from ledger.errors import NotLate
from ledger.late import Late


def renaming(chain: FakeChain, number: int, names: Mapping[bytes, bytes]) -> FakeChain:
    """The chain as shown by who names transactions of a block otherwise, everywhere alike."""
    liar = copy.deepcopy(chain)
    block = liar.block(number)
    for document in (block.header_json, *block.receipts_json):
        text = json.dumps(document)
        for old, new in names.items():
            text = text.replace(old.hex(), new.hex())
        document.clear()
        document.update(json.loads(text))
    return liar


def other_names(here: Scene, number: int) -> dict[bytes, bytes]:
    return {
        tx.hash: bytes([9] * 31 + [place]) for place, tx in enumerate(here.chain.block(number).txs)
    }


def available(here: Scene) -> list[int]:
    return [here.books.account(wallet).available // CREDIT for wallet in (ALICE, BOB)]


def test_an_event_is_not_missing_where_its_log_is_in_the_books(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await read(here)
            async with serve(renaming(here.chain, 1, other_names(here, 1))) as url:
                for _ in range(2):
                    settings = here.settings()
                    said = await verify(database_url, settings, 0, None, urls=[url], repair=True)
                    assert (said.admitted, said.differences.missing) == (0, [])
                    assert len(said.differences.changed) == 2
            assert available(here) == [10, 3]
            assert not (await verify(database_url, here.settings(), 0, None)).differences.any

    asyncio.run(main())


def test_an_honest_node_does_not_double_what_a_liar_was_believed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            here.chain.mine(here.stake(ALICE, 10), here.stake(BOB, 3))
            here.chain.mine_empty(DEPTH)
            honest = here.url
            async with serve(renaming(here.chain, 1, other_names(here, 1))) as here.url:
                await here.end(await here.follow())
            here.url = honest
            assert available(here) == [10, 3]
            said = await verify(database_url, here.settings(), 0, None, repair=True)
            assert (said.admitted, len(said.differences.changed)) == (0, 2)
            assert available(here) == [10, 3]

    asyncio.run(main())


def test_the_books_take_no_second_event_at_the_place_of_one(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here, Late.open(database_url, 31337) as late:
            await read(here)
            place, block = await place_of(late), here.chain.block(1)
            renamed = copy.deepcopy(block)
            object.__setattr__(renamed.txs[0], "hash", b"\x09" * 32)
            with pytest.raises(NotLate, match="one of another transaction"):
                await late.admit(place.epoch, block_of(block), [event_of(renamed)])
            assert available(here) == [10, 3]

    asyncio.run(main())


@pytest.mark.parametrize("span", [2, 10])
def test_a_node_that_names_an_old_transaction_again_is_stood_in_for_by_another(
    database_url: str, span: int
) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            old = here.chain.mine(here.stake(ALICE, 10))
            here.chain.mine_empty(DEPTH)
            honest = here.url
            new = here.chain.mine(here.stake(BOB, 3))
            here.chain.mine_empty(DEPTH)
            names = {new.txs[0].hash: old.txs[0].hash}
            async with serve(renaming(here.chain, new.number, names)) as here.url:
                here.other_urls.append(honest)
                follower = await here.follow(span_max=span)
                await follower.turn()
                assert here.books.standing().state == "following"
                assert available(here) == [10, 3]

    asyncio.run(main())
