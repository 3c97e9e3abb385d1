"""Both clients against creditd itself, over a line that breaks."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from broken_line import Fault
from conftest import CHAIN_ID
from creditd_client import (
    AsyncCredits,
    Breaker,
    Charged,
    ChargeItem,
    Credits,
    CreditsUnavailable,
    InsufficientCredits,
    KeyReused,
    Refused,
    ReservationEnded,
    ReservationExceeded,
    settlement_key,
)
from creditd_client.wire import attempts
from till import EARNED, NONE, WALLET, Kind, Till, public_signatures, till

Story = Callable[[Till, AsyncCredits], Awaitable[None]]

both = pytest.mark.parametrize("kind", ["async", "sync"])


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "BACKOFF_SECONDS", (0.01,) * len(attempts.BACKOFF_SECONDS))


def tell(
    database_url: str,
    kind: Kind,
    story: Story,
    *,
    timeout_seconds: float = 3,
    breaker: Breaker | None = None,
) -> None:
    async def main() -> None:
        async with (
            till(database_url) as t,
            t.client(kind, timeout_seconds=timeout_seconds, breaker=breaker) as purse,
        ):
            await story(t, purse)

    asyncio.run(main())


def test_both_clients_have_the_same_calls() -> None:
    asynchronous, synchronous = public_signatures(AsyncCredits), public_signatures(Credits)
    asynchronous["close"] = asynchronous.pop("aclose")
    assert list(asynchronous) != []
    assert {name: taken.parameters for name, taken in asynchronous.items()} == {
        name: taken.parameters for name, taken in synchronous.items()
    }


@both
def test_a_charge_is_made_looked_up_and_given_back(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        charged = await purse.charge(t.account, "tokens", 4, key="k")
        assert (charged.cost, charged.available) == (Decimal(2), EARNED - 2)
        assert charged.ours
        assert not charged.replayed
        again = await purse.charge(t.account, "tokens", 4, key="k")
        assert (again.id, again.replayed, again.ours) == (charged.id, True, False)
        with pytest.raises(KeyReused):
            await purse.charge(t.account, "tokens", 5, key="k")
        part = await purse.refund(charged.id, amount=Decimal("0.5"))
        assert (part.amount, part.available) == (Decimal("0.5"), EARNED - Decimal("1.5"))
        record = await purse.find_charge(charged.id)
        assert (record.units, record.cost, record.refunded) == (4, Decimal(2), Decimal("0.5"))
        assert (await purse.balance(t.account)).available == EARNED - Decimal("1.5")

    tell(database_url, kind, story)


@both
def test_a_charge_and_a_reservation_name_their_model(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        assert (await purse.charge(t.account, "chat", key="k", model="small")).cost == 12
        with pytest.raises(KeyReused):
            await purse.charge(t.account, "chat", key="k", model="large")
        held = await purse.reserve(t.account, "tokens", 4, expires_in=60, model="small")
        assert held.reservation.amount == 2

    tell(database_url, kind, story)


@both
def test_a_402_names_its_amounts(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        with pytest.raises(InsufficientCredits) as refused:
            await purse.charge(t.account, "tokens", 100, key="k")
        unpaid = refused.value
        assert (unpaid.required, unpaid.available, unpaid.missing, unpaid.pending) == (
            *(Decimal(50), EARNED, Decimal(30), NONE),
        )
        assert unpaid.retry_after_seconds is None
        assert unpaid.code == "insufficient-credits"
        assert len(t.line.requests) == 1
        assert (await purse.charge(t.account, "tokens", 2, key="k")).cost == 1

    tell(database_url, kind, story)


@both
def test_many_charges_are_each_decided_by_itself_and_made_once(
    database_url: str, kind: Kind
) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        items = [
            ChargeItem(t.account, "tokens", 4, key="a"),
            ChargeItem(t.account, "tokens", 400, key="b"),
            ChargeItem(t.account, "tokens", 2, key="a"),
            ChargeItem(t.account, "nothing", key="c"),
            ChargeItem("acct_nobody", "tokens", key="d"),
            ChargeItem(t.account, "chat"),
        ]
        t.line.loses("lost after")
        for replayed in (True, True):
            made, unpaid, reused, unpriced, nobody, last = await purse.charge_many(items)
            assert isinstance(made, Charged)
            assert isinstance(last, Charged)
            assert (made.cost, last.cost, made.replayed) == (Decimal(2), Decimal(12), replayed)
            assert isinstance(unpaid, InsufficientCredits)
            assert unpaid.required == 200
            assert isinstance(reused, KeyReused)
            assert isinstance(unpriced, Refused)
            assert isinstance(nobody, Refused)
            assert (unpriced.code, nobody.code) == ("unknown-operation", "invalid-request")
            assert await t.has() == (EARNED - 14, NONE)

    tell(database_url, kind, story)


@both
def test_a_reservation_is_looked_up(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        held = await purse.reserve(t.account, "tokens", 10, expires_in=60)
        name = held.reservation.id
        found = await purse.find_reservation(name)
        assert (found.state, found.amount, found.taken) == ("open", Decimal(5), None)
        ended = await held.settle(Decimal(3))
        found = await purse.find_reservation(name)
        assert (found.state, found.taken, found.charge) == ("settled", Decimal(3), ended.charge)
        assert (found.units, found.used, ended.units) == (10, None, None)
        assert (await purse.find_charge(str(ended.charge))).units is None

    tell(database_url, kind, story)


@both
def test_what_was_used_is_settled_by_its_units(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        held = await purse.reserve(t.account, "tokens", 10, expires_in=60)
        for wrong in (
            {},
            {"amount": Decimal(1), "units": 1},
            {"amount": Decimal(1), "at_least": Decimal(1)},
        ):
            with pytest.raises(ValueError, match=r"amount"):
                await purse.settle(held.reservation.id, **wrong)
        ended = await held.settle(units=4)
        assert (ended.taken, ended.units) == (Decimal(2), 4)
        again = await purse.settle(held.reservation.id, units=4)
        assert (again.taken, again.units, again.replayed) == (Decimal(2), 4, True)
        assert (await purse.find_charge(str(ended.charge))).units == 4
        found = await purse.find_reservation(held.reservation.id)
        assert (found.units, found.used) == (10, 4)
        with pytest.raises(ReservationEnded) as late:
            await held.release()
        assert (late.value.taken, late.value.units) == (Decimal(2), 4)
        held = await purse.reserve(t.account, "tokens", 10, expires_in=60)
        assert (await held.settle(units=0, at_least=Decimal("0.7"))).taken == Decimal("0.7")

    tell(database_url, kind, story)


@both
def test_accounts_are_opened_by_name_and_by_wallet(database_url: str, kind: Kind) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        own = await purse.open_account("alice")
        assert own != t.account
        assert await purse.open_account("alice") == own
        assert await purse.open_wallet_account(CHAIN_ID, f"0x{WALLET.hex()}") == t.account

    tell(database_url, kind, story)


@both
@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_whatever_is_lost_each_call_is_done_once(
    database_url: str, kind: Kind, fault: Fault
) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        t.line.loses(fault, fault)
        charged = await purse.charge(t.account, "tokens", 4)
        assert charged.ours
        assert await t.has() == (EARNED - 2, NONE)
        t.line.loses(fault)
        assert (await purse.refund(charged.id)).amount == 2
        t.line.loses(fault)
        held = await purse.reserve(t.account, "tokens", 10, expires_in=60)
        assert await t.has() == (EARNED - 5, Decimal(5))
        t.line.loses(fault)
        ended = await held.settle(Decimal(2))
        assert (ended.how, ended.taken) == ("settled", Decimal(2))
        assert await t.has() == (EARNED - 2, NONE)

    tell(database_url, kind, story)


@both
def test_a_reservation_is_extended_settled_and_not_ended_twice(
    database_url: str, kind: Kind
) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        held = await purse.reserve(
            t.account, "tokens", 10, expires_in=60, minimum=Decimal(1), over_max=Decimal(21)
        )
        made = held.reservation
        assert (made.amount, made.available, made.units) == (Decimal(5), EARNED - 5, 10)
        assert await held.extend(30) == made.expires_at + timedelta(seconds=30)
        with pytest.raises(ReservationExceeded) as exceeded:
            await held.settle(Decimal(26))
        assert (exceeded.value.extra, exceeded.value.available) == (Decimal(21), EARNED - 5)
        ended = await held.settle(Decimal("6.5"))
        assert ended.taken == Decimal("6.5")
        assert str(ended.charge).startswith("chg_")
        assert (await held.settle(Decimal("6.5"))).replayed
        with pytest.raises(ReservationEnded) as late:
            await held.release()
        assert (late.value.how, late.value.taken, late.value.charge) == (
            *("settled", Decimal("6.5")),
            ended.charge,
        )
        assert await t.has() == (EARNED - Decimal("6.5"), NONE)

    tell(database_url, kind, story)


def test_leaving_releases_what_was_not_settled(database_url: str) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        async with purse.reserve(t.account, "tokens", 10, expires_in=60) as held:
            assert await t.has() == (EARNED - 5, Decimal(5))
            assert held.reservation.amount == 5
        assert await t.has() == (EARNED, NONE)
        with pytest.raises(LookupError):
            async with purse.reserve(t.account, "tokens", 10, expires_in=60):
                raise LookupError
        assert await t.has() == (EARNED, NONE)
        async with purse.reserve(t.account, "tokens", 10, expires_in=60) as held:
            await held.settle(Decimal(4))
        assert await t.has() == (EARNED - 4, NONE)

    tell(database_url, "async", story)


def test_leaving_releases_what_was_not_settled_without_a_loop_too(database_url: str) -> None:
    def work(url: str, api_key: str, account: str) -> None:
        with Credits(url, api_key) as purse:
            with purse.reserve(account, "tokens", 10, expires_in=60) as held:
                assert held.reservation.amount == 5
            assert purse.balance(account).available == EARNED
            with (
                pytest.raises(LookupError),
                purse.reserve(account, "tokens", 10, expires_in=60),
            ):
                raise LookupError
            assert purse.balance(account).available == EARNED
            with purse.reserve(account, "tokens", 10, expires_in=60) as held:
                held.settle(Decimal(4))
            assert purse.balance(account).available == EARNED - 4

    async def story(t: Till, _purse: AsyncCredits) -> None:
        await asyncio.to_thread(work, t.line.url, t.api_key, t.account)
        assert await t.has() == (EARNED - 4, NONE)

    tell(database_url, "async", story)


def test_what_could_not_be_settled_is_not_released(database_url: str) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        async with purse.reserve(t.account, "tokens", 10, expires_in=60) as held:
            for _ in range(attempts.ATTEMPTS_MAX):
                t.line.loses("lost before")
            with pytest.raises(CreditsUnavailable) as unavailable:
                await held.settle(Decimal(4))
        name = held.reservation.id
        assert unavailable.value.key == settlement_key(name)
        assert await t.has() == (EARNED - 5, Decimal(5))
        await purse.settle(name, Decimal(4), key=settlement_key(name))
        assert await t.has() == (EARNED - 4, NONE)

    tell(database_url, "async", story)


@both
def test_where_creditd_is_away_calls_soon_fail_at_once_and_one_finds_it_back(
    database_url: str, kind: Kind
) -> None:
    now = 0.0
    breaker = Breaker(failures_max=3, open_seconds=60, now=lambda: now)

    async def story(t: Till, purse: AsyncCredits) -> None:
        nonlocal now
        t.line.down = True
        for _ in range(2):
            with pytest.raises(CreditsUnavailable):
                await purse.charge(t.account, "ping")
        with pytest.raises(CreditsUnavailable, match="lately") as unasked:
            await purse.charge(t.account, "ping")
        assert not unasked.value.maybe_taken
        assert unasked.value.retry_after_seconds == 60
        t.line.down = False
        with pytest.raises(CreditsUnavailable, match="lately"):
            await purse.charge(t.account, "ping")
        assert t.line.requests == []
        now = 60.0
        await purse.charge(t.account, "ping")
        await purse.charge(t.account, "ping")
        assert len(t.line.requests) == 2

    tell(database_url, kind, story, breaker=breaker)


@both
def test_what_ends_something_waits_until_creditd_may_be_asked_again(
    database_url: str, kind: Kind
) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        charged = await purse.charge(t.account, "chat")
        t.line.down = True
        with pytest.raises(CreditsUnavailable):
            await purse.charge(t.account, "chat")
        t.line.down = False
        assert (await purse.refund(charged.id)).amount == 12

    tell(database_url, kind, story, breaker=Breaker(failures_max=1, open_seconds=0.2))


@both
def test_a_silent_creditd_is_given_up_within_the_time_of_a_call(
    database_url: str, kind: Kind
) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        t.line.loses("silent")
        with pytest.raises(CreditsUnavailable, match=r"no answer within 0\.2 s") as unavailable:
            await purse.within(0.2).charge(t.account, "chat", key="k")
        assert unavailable.value.maybe_taken
        assert (await purse.charge(t.account, "chat", key="k")).cost == 12
        assert len(t.line.requests) == 2

    tell(database_url, kind, story, timeout_seconds=20)


@both
def test_proxies_of_the_environment_are_not_asked(
    database_url: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    async def story(t: Till, purse: AsyncCredits) -> None:
        assert (await purse.charge(t.account, "chat")).cost == 12
        async with t.client(kind, trust_env=True) as trusting:
            with pytest.raises(CreditsUnavailable) as unavailable:
                await trusting.charge(t.account, "chat")
        assert not unavailable.value.maybe_taken

    tell(database_url, kind, story)


def test_a_refused_settlement_says_why(database_url: str) -> None:
    async def story(t: Till, purse: AsyncCredits) -> None:
        held = await purse.reserve(t.account, "tokens", 10, expires_in=60)
        with pytest.raises(Refused) as refused:
            await held.settle(Decimal(7))
        assert refused.value.code == "over-bound"
        assert (await held.release()).taken == 0
        with pytest.raises(ValueError, match="no name"):
            await purse.release("..")

    tell(database_url, "async", story)
