"""What secrets stand for is looked up once, remembered for a moment, and forgotten at once."""

import asyncio

import pytest

from api.calling.lookups import STRANGERS_WAITING_MAX, LookUps
from api.problems.refusals import Refused, TooManyRequests


class Asked:
    """A ledger that answers when it is told to, and knows what it is told."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.questions: list[str] = []
        self.has_asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self, digest: bytes) -> str | None:
        self.questions.append(digest.decode())
        self.has_asked.set()
        known = self.known.get(digest.decode())
        await self.may_answer.wait()
        return known


def test_those_who_ask_together_share_a_question_and_the_next_ones_its_answer() -> None:
    async def scene() -> None:
        asked = Asked(alice="a session")
        found = LookUps(asked, seconds=60, most=10)
        together = [asyncio.create_task(found.get(b"alice")) for _ in range(3)]
        await asyncio.sleep(0)
        together[0].cancel()  # who asked first may go: the others are answered
        asked.may_answer.set()
        assert await asyncio.gather(*together[1:]) == ["a session"] * 2
        assert await found.get(b"alice") == "a session"
        assert asked.questions == ["alice"]

    asyncio.run(scene())


def test_what_is_forgotten_is_asked_for_anew_even_where_it_was_being_asked_for() -> None:
    async def scene() -> None:
        asked = Asked(alice="a session")
        found = LookUps(asked, seconds=60, most=10)
        early = asyncio.create_task(found.get(b"alice"))
        await asked.has_asked.wait()
        asked.known.clear()  # ended, after the ledger has looked
        found.forget(b"alice")
        asked.may_answer.set()
        assert await early == "a session"
        assert await found.get(b"alice") is None
        assert asked.questions == ["alice"] * 2

    asyncio.run(scene())


@pytest.mark.parametrize("forgets_all", [False, True])
def test_who_was_known_and_is_forgotten_is_asked_for_beside_any_number_of_strangers(
    forgets_all: bool,
) -> None:
    async def scene() -> None:
        asked = Asked(alice="a session")
        asked.may_answer.set()
        found = LookUps(asked, seconds=60, most=10)
        await found.get(b"alice")
        asked.may_answer.clear()
        asked.has_asked.clear()
        many = [
            asyncio.create_task(found.get(b"%d" % number))
            for number in range(STRANGERS_WAITING_MAX)
        ]
        await asked.has_asked.wait()  # the strangers take all turns that they have
        if forgets_all:
            found.forget_all()
        else:
            found.forget(b"alice")
        asked.has_asked.clear()
        known = asyncio.create_task(found.get(b"alice"))
        await asyncio.wait(
            {known, wanted := asyncio.create_task(asked.has_asked.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        wanted.cancel()
        asked.may_answer.set()
        assert await known == "a session"
        assert asked.questions.count("alice") == 2
        await asyncio.gather(*many)

    asyncio.run(scene())


def test_nothing_found_is_not_remembered_and_what_is_gone_is_dropped() -> None:
    async def scene() -> None:
        asked = Asked(alice="a session")
        asked.may_answer.set()
        found = LookUps(asked, seconds=0, most=10)
        assert await found.get(b"alice") == "a session"
        asked.known.clear()
        assert [await found.get(b"alice") for _ in range(2)] == [None, None]
        assert asked.questions == ["alice"] * 3

    asyncio.run(scene())


def test_no_more_is_remembered_than_was_said() -> None:
    async def scene() -> None:
        asked = Asked(**{str(number): "a session" for number in range(3)})
        asked.may_answer.set()
        found = LookUps(asked, seconds=60, most=2)
        for secret in (b"0", b"1", b"0", b"2", b"0", b"1"):
            await found.get(secret)
        assert asked.questions == ["0", "1", "2", "1"]

    asyncio.run(scene())


def test_of_many_strangers_most_are_sent_away_and_those_known_are_not() -> None:
    async def scene() -> None:
        asked = Asked(alice="a session")
        asked.may_answer.set()
        found = LookUps(asked, seconds=0, most=10)
        await found.get(b"alice")
        asked.may_answer.clear()
        many = [
            asyncio.create_task(found.get(b"%d" % number))
            for number in range(STRANGERS_WAITING_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await found.get(b"one more")
        assert isinstance(refused.value.cause, TooManyRequests)
        known = asyncio.create_task(found.get(b"alice"))
        asked.may_answer.set()
        assert await known == "a session"
        assert await asyncio.gather(*many) == [None] * STRANGERS_WAITING_MAX

    asyncio.run(scene())
