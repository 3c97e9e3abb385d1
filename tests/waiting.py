"""Events that wait on a chain that tests tell block by block."""

import asyncio
from collections.abc import Callable, Coroutine

from books import Books
from followed_chain import Earned, FollowedChain
from proof_of_the_books import assert_sound

from ledger.audit import audit, render
from ledger.watching import RuleEntry

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20

Story = Callable[[FollowedChain, Books], Coroutine[object, object, None]]


def told(database_url: str, story: Story, rule: RuleEntry | None = None) -> None:
    """Tell a story of a chain; whatever it was, its books balance."""

    async def main() -> None:
        async with FollowedChain.lead(database_url, rule=rule) as chain:
            with Books.open(database_url) as books:
                await story(chain, books)
        await books_balance(database_url)
        assert_sound(database_url)

    asyncio.run(main())


def large(name: str = "large", more: int = 3, *, wallet: bytes = ALICE, earns: int = 9) -> Earned:
    return Earned(wallet, earns, name, blocks_more=more)


async def grow(chain: FollowedChain, count: int, fork: str = "a") -> None:
    for _ in range(count):
        await chain.grow(fork=fork)


def waiting(books: Books) -> dict[bytes, int]:
    """The blocks that events wait for, by their transactions."""
    return dict(
        books.rows(
            "select e.tx_hash, y.due_number from creditd.waiting_event y"
            " join creditd.event e using (event_no)"
        )
    )


async def books_balance(database_url: str) -> None:
    report = await audit(database_url)
    assert report.balanced, render(report)
