"""What the books decide of signing in: each text is good once, for one purpose and for a while."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest
from conftest import CHAIN_ID, earn, run
from town import ALICE, BOB, Town

from ledger.errors import LedgerBusy
from ledger.ids import AccountRef
from ledger.linking import Linking
from ledger.outcomes import ChallengeSpent, Linked, LinkedElsewhere, NoSuchAccount
from ledger.sign_ins import LinkTerms, SessionOpened, SignIns, WalletRef, digest_of

GOOD_FOR = timedelta(minutes=10)
WALLET = WalletRef(CHAIN_ID, ALICE)
APP = 1  # the shop of these towns


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[SignIns]:
    async with SignIns.open(database_url) as sign_ins:
        yield sign_ins


def on(database_url: str, what: Callable[[SignIns], Awaitable[None]]) -> None:
    async def main() -> None:
        async with opened(database_url) as sign_ins:
            await what(sign_ins)

    asyncio.run(main())


async def signed_in(
    sign_ins: SignIns, wallet: WalletRef = WALLET, *, former: bytes | None = None
) -> tuple[bytes, SessionOpened]:
    text, digest = f"text {secrets.token_hex(8)}", secrets.token_bytes(32)
    await sign_ins.enter(text, wallet, None, good_for=GOOD_FOR)
    session = await sign_ins.sign_in(text, digest=digest, former=former)
    assert isinstance(session, SessionOpened)
    return digest, session


def later(database_url: str, table: str, column: str, interval: str) -> None:
    """Let time pass, as one row sees it."""
    run(database_url, f"update creditd.{table} set {column} = {column} - interval '{interval}'")


# Texts -------------------------------------------------------------------------------------------


def test_a_text_is_good_once(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await sign_ins.enter("text", WALLET, None, good_for=GOOD_FOR)
        given = await sign_ins.try_text("text", "sign_in")
        assert given is not None
        assert (given.wallet, given.link) == (WALLET, None)
        first = await sign_ins.sign_in("text", digest=bytes(32), former=None)
        assert isinstance(first, SessionOpened)
        again = await sign_ins.sign_in("text", digest=b"\x01" * 32, former=None)
        assert again == ChallengeSpent()
        assert await sign_ins.try_text("text", "sign_in") is None
        assert await sign_ins.signed_in(b"\x01" * 32) is None

    on(database_url, story)


def test_a_text_is_good_to_the_letter(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await sign_ins.enter("text", WALLET, None, good_for=GOOD_FOR)
        for other in ("text ", "Text", "tex", ""):
            assert await sign_ins.try_text(other, "sign_in") is None
            spent = await sign_ins.sign_in(other, digest=bytes(32), former=None)
            assert spent == ChallengeSpent()

    on(database_url, story)


def test_a_text_is_good_for_a_while(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await sign_ins.enter("text", WALLET, None, good_for=GOOD_FOR)
        later(database_url, "challenge", "expires_at", "10 minutes")
        assert await sign_ins.try_text("text", "sign_in") is None
        spent = await sign_ins.sign_in("text", digest=bytes(32), former=None)
        assert spent == ChallengeSpent()

    on(database_url, story)


def test_a_text_is_tried_five_times_at_most(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await sign_ins.enter("text", WALLET, None, good_for=GOOD_FOR)
        tries = [await sign_ins.try_text("text", "sign_in") for _ in range(7)]
        assert [given is not None for given in tries] == [True] * 5 + [False] * 2

    on(database_url, story)


def test_a_text_is_good_for_one_purpose(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user, other = await town.user(), await town.user("other")
            link = LinkTerms(APP, user)
            await sign_ins.enter("to sign in", WALLET, None, good_for=GOOD_FOR)
            await sign_ins.enter("to link", WALLET, link, good_for=GOOD_FOR)
            assert await sign_ins.try_text("to sign in", "link") is None
            assert await sign_ins.try_text("to link", "sign_in") is None
            given = await sign_ins.try_text("to link", "link")
            assert given is not None
            assert given.link == link
            spent = await sign_ins.sign_in("to link", digest=bytes(32), former=None)
            assert spent == ChallengeSpent()
            for account, text in ((user, "to sign in"), (other, "to link")):
                refused = await linked(town.linking, account, text)
                assert refused == ChallengeSpent()
            assert isinstance(await linked(town.linking, user, "to link"), Linked)

    asyncio.run(main())


def test_texts_that_are_over_make_room(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        for number in range(3):
            await sign_ins.enter(f"text {number}", WALLET, None, good_for=GOOD_FOR)
        later(database_url, "challenge", "expires_at", "10 minutes")
        await sign_ins.enter("text 3", WALLET, None, good_for=GOOD_FOR)
        assert rows(database_url, "select digest from creditd.challenge") == [
            (digest_of("text 3"),)
        ]

    on(database_url, story)


def test_there_are_only_so_many_texts(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await sign_ins.enter("first", WALLET, None, good_for=GOOD_FOR)
        run(database_url, "alter table creditd.challenge alter challenge_no restart with 100000")
        await sign_ins.enter("last", WALLET, None, good_for=GOOD_FOR)
        with pytest.raises(LedgerBusy, match="wait to be signed"):
            await sign_ins.enter("more", WALLET, None, good_for=GOOD_FOR)
        later(database_url, "challenge", "expires_at", "10 minutes")
        await sign_ins.enter("after a while", WALLET, None, good_for=GOOD_FOR)

    on(database_url, story)


@pytest.mark.parametrize("sessions", [2, 5])
def test_of_two_who_use_a_text_at_once_one_signs_in(database_url: str, sessions: int) -> None:
    async def one(number: int) -> SessionOpened | ChallengeSpent:
        async with opened(database_url) as sign_ins:
            await sign_ins.signed_in(bytes(32))  # the connection is there before the race
            await start.wait()
            return await sign_ins.sign_in("text", digest=bytes([number]) * 32, former=None)

    async def main() -> None:
        async with opened(database_url) as sign_ins:
            await sign_ins.enter("text", WALLET, None, good_for=GOOD_FOR)
        async with asyncio.TaskGroup() as group:
            racing = [group.create_task(one(number)) for number in range(sessions)]
            start.set()
        outcomes = [task.result() for task in racing]
        assert sum(isinstance(each, SessionOpened) for each in outcomes) == 1
        assert rows(database_url, "select count(*) from creditd.sign_in") == [(1,)]

    start = asyncio.Event()
    asyncio.run(main())


# Sessions ----------------------------------------------------------------------------------------


def test_a_wallet_signs_in_to_its_own_account(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            own = await town.wallet(ALICE)
            digest, session = await signed_in(sign_ins)
            assert session.account == own
            who = await sign_ins.signed_in(digest)
            assert who is not None
            assert (who.account, who.wallet) == (own, WALLET)
            apps = "select name from creditd.app where app_id = %s"
            assert town.rows(apps, who.app_id) == [("creditd",)]

    asyncio.run(main())


def test_a_wallet_that_nobody_knows_signs_in_to_a_new_account(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        _, first = await signed_in(sign_ins)
        _, again = await signed_in(sign_ins)
        _, elsewhere = await signed_in(sign_ins, WalletRef(10, ALICE))
        assert first.account == again.account != elsewhere.account

    on(database_url, story)


def test_a_linked_wallet_signs_in_to_the_account_it_earns_for(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user = await town.user()
            before, _ = await signed_in(sign_ins)
            await town.linked(ALICE, user)
            assert await sign_ins.signed_in(before) is None  # it leads elsewhere now
            digest, session = await signed_in(sign_ins)
            assert session.account == user
            await town.linking.unlink(app_id=APP, chain_id=CHAIN_ID, address=ALICE, account=user)
            assert await sign_ins.signed_in(digest) is None
            assert (await sign_ins.signed_in(before)) is not None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("column", "before", "over"),
    [("seen_at", "11 hours 59 minutes", "12 hours"), ("ends_at", "6 days 23 hours", "1 hour")],
)
def test_a_session_is_over_when_idle_and_at_its_end(
    database_url: str, column: str, before: str, over: str
) -> None:
    async def story(sign_ins: SignIns) -> None:
        digest, _ = await signed_in(sign_ins)
        later(database_url, "sign_in", "created_at", "30 days")  # so that both can go back
        later(database_url, "sign_in", column, before)
        assert await sign_ins.signed_in(digest) is not None
        later(database_url, "sign_in", column, over)
        assert await sign_ins.signed_in(digest) is None

    on(database_url, story)


def test_using_a_session_keeps_it_from_being_idle(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        digest, opened_ = await signed_in(sign_ins)
        first = await sign_ins.signed_in(digest)
        later(database_url, "sign_in", "created_at", "1 hour")
        later(database_url, "sign_in", "seen_at", "1 hour")
        again = await sign_ins.signed_in(digest)
        assert first is not None
        assert again is not None
        assert first.ends_at <= again.ends_at < opened_.ends_at
        noted = "select seen_at > clock_timestamp() - interval '1 minute' from creditd.sign_in"
        assert rows(database_url, noted) == [(True,)]

    on(database_url, story)


def test_whoever_signs_out_is_out(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        digest, session = await signed_in(sign_ins)
        another, _ = await signed_in(sign_ins)
        stranger, _ = await signed_in(sign_ins, WalletRef(CHAIN_ID, BOB))
        assert await sign_ins.sign_out(digest) is True
        assert await sign_ins.sign_out(digest) is False
        assert await sign_ins.signed_in(digest) is None
        assert await sign_ins.signed_in(another) is not None
        assert await sign_ins.sign_out_all(session.account) == 1
        assert await sign_ins.signed_in(another) is None
        assert await sign_ins.signed_in(stranger) is not None

    on(database_url, story)


def test_signing_in_again_ends_the_session_before(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        former, _ = await signed_in(sign_ins, WalletRef(CHAIN_ID, BOB))
        digest, _ = await signed_in(sign_ins, former=former)
        assert await sign_ins.signed_in(former) is None
        assert await sign_ins.signed_in(digest) is not None

    on(database_url, story)


def test_an_account_has_only_so_many_sessions(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        stranger, _ = await signed_in(sign_ins, WalletRef(CHAIN_ID, BOB))
        digests = [(await signed_in(sign_ins))[0] for _ in range(52)]
        good = [await sign_ins.signed_in(digest) is not None for digest in digests]
        assert good == [False] * 2 + [True] * 50
        assert await sign_ins.signed_in(stranger) is not None

    on(database_url, story)


def test_sessions_that_are_over_are_taken_away(database_url: str) -> None:
    async def story(sign_ins: SignIns) -> None:
        await signed_in(sign_ins)
        for column in ("created_at", "ends_at"):
            later(database_url, "sign_in", column, "8 days")
        digest, _ = await signed_in(sign_ins, WalletRef(CHAIN_ID, BOB))
        assert rows(database_url, "select digest from creditd.sign_in") == [(digest,)]

    on(database_url, story)


# Links -------------------------------------------------------------------------------------------


async def linked(
    linking: Linking, account: AccountRef, text: str, *, by_key: bool = True
) -> object:
    return await linking.link_by_signature(
        app_id=APP, account=account, message=text, signature=b"\x01\x02", by_key=by_key
    )


def test_a_key_links_its_address_on_every_chain_and_a_contract_on_its_own(
    database_url: str,
) -> None:
    earn(database_url, ALICE, 30)
    earn(database_url, ALICE, 5, chain_id=10)
    earn(database_url, BOB, 7)
    earn(database_url, BOB, 9, chain_id=10)

    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user = await town.user()
            terms = LinkTerms(APP, user)
            await sign_ins.enter("key", WALLET, terms, good_for=GOOD_FOR)
            await sign_ins.enter("code", WalletRef(CHAIN_ID, BOB), terms, good_for=GOOD_FOR)
            assert await linked(town.linking, user, "key") == Linked(user, 2, 35, 0, replayed=False)
            assert await linked(town.linking, user, "code", by_key=False) == Linked(
                user, 1, 7, 0, replayed=False
            )
            assert await linked(town.linking, user, "key") == ChallengeSpent()
            assert town.has(user) == (42, 0)
            proofs = (
                "select chain_id, address, app_id, message, signature from creditd.wallet_proof"
            )
            assert town.rows(f"{proofs} order by proof_no") == [
                (None, ALICE, APP, "key", b"\x01\x02"),
                (CHAIN_ID, BOB, APP, "code", b"\x01\x02"),
            ]

    asyncio.run(main())


def test_a_text_that_led_to_a_refusal_is_used_up_and_leaves_no_proof(database_url: str) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user, other = await town.user(), await town.user("other")
            await town.linked(ALICE, other)
            await sign_ins.enter("text", WALLET, LinkTerms(APP, user), good_for=GOOD_FOR)
            assert await linked(town.linking, user, "text") == LinkedElsewhere()
            assert await linked(town.linking, user, "text") == ChallengeSpent()
            assert town.rows("select from creditd.wallet_proof") == []

    asyncio.run(main())


def test_nobody_is_asked_to_link_to_an_account_that_the_app_does_not_reach(
    database_url: str,
) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user = await town.user()
            stranger = LinkTerms(APP + 1, user)
            refused = await sign_ins.enter("text", WALLET, stranger, good_for=GOOD_FOR)
            assert refused == NoSuchAccount()
            assert town.rows("select from creditd.challenge") == []

    asyncio.run(main())


def test_a_text_links_nothing_once_its_app_reaches_the_account_no_more(database_url: str) -> None:
    earn(database_url, ALICE, 30)

    async def main() -> None:
        async with Town.open(database_url) as town, opened(database_url) as sign_ins:
            user = await town.user()
            await sign_ins.enter("text", WALLET, LinkTerms(APP, user), good_for=GOOD_FOR)
            town.rows("delete from creditd.account_access where account_id = %s", user.account_id)
            assert await linked(town.linking, user, "text") == NoSuchAccount()
            assert town.has(user) == (0, 0)
            assert town.rows("select from creditd.wallet_proof") == []

    asyncio.run(main())


def rows(database_url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(statement).fetchall()
