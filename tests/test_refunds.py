"""Refunds: back to the very lots, whatever has become of them."""

from conftest import CHAIN_ID
from reserving_shop import DAY, HOUR, ReservingShop, play
from town import ALICE

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    Charged,
    Insufficient,
    KeyReused,
    MoreThanTaken,
    NoSuchCharge,
    Refunded,
)


def terms(shop: ReservingShop, account: AccountRef, lot: int) -> tuple[object, ...]:
    """Source, priority, end and operations of a lot."""
    (row,) = shop.town.rows(
        "select l.source, l.priority, l.expires_at, (select array_agg(o.name) from"
        " creditd.operation o where o.operation_id = any (l.operations)) from creditd.lot l"
        " where l.root_id = %s and l.account_id = %s and l.lot_no = %s",
        *(*account, lot),
    )
    return row


def test_a_refund_goes_back_lot_by_lot_last_one_first(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10, 10)
        charge = await shop.sold(account, 25)
        assert shop.lots(account) == {1: 0, 2: 0, 3: 5}
        await shop.refunded(charge, 3)
        assert shop.lots(account) == {1: 0, 2: 0, 3: 8}
        await shop.refunded(charge, 5)
        assert shop.lots(account) == {1: 0, 2: 3, 3: 10}
        refund = await shop.refunded(charge)
        assert (refund.amount, refund.repaid, refund.available) == (17, 0, 30)
        assert shop.lots(account) == {1: 10, 2: 10, 3: 10}
        assert shop.story(account, 9) == [("refund", 7, 2), ("refund", 10, 1)]

    play(database_url, story)


def test_a_refund_is_more_than_nothing_and_never_more_than_taken(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        charge = await shop.sold(account, 6)
        await shop.refunded(charge, 2)
        for amount in (5, 0, -1, -(2**70), 2**63, 2**200):
            assert await shop.refund(charge, amount) == MoreThanTaken(4)
        await shop.refunded(charge, 4)
        assert await shop.refund(charge) == MoreThanTaken(0)
        assert shop.has(account) == (10, 0, 0)

    play(database_url, story)


def test_what_goes_back_to_a_lot_past_its_end_lapses(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        shop.lasting(account, 8, DAY)
        charge = await shop.sold(account, 11)  # all of the second, 3 of the first
        shop.wait(2 * DAY)
        refund = await shop.refunded(charge)
        assert (refund.amount, refund.available) == (11, 10)
        assert shop.story(account, 4) == [
            ("refund", 3, 1),
            ("refund", 8, 2),
            ("expiry", 8, 2),
        ]

    play(database_url, story)


def test_what_goes_back_to_a_lot_past_its_end_lives_again_if_asked_to(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.town.grant(
            account,
            8,
            priority=7,
            expires_at=(shop.now + 3 * DAY).isoformat(),
            operations=["unit"],
        )
        shop.wait(DAY)
        charge = await shop.sold(account, 8)  # two days before its end
        shop.wait(9 * DAY)
        refund = await shop.refunded(charge, 5, "renew")
        assert refund.available == 5
        lot = refund.movement.seq
        assert terms(shop, account, lot) == ("refund", 7, shop.now + 2 * DAY, ["unit"])
        other = await shop.town.charge(account, 1, "other", operation="other")
        assert isinstance(other, Insufficient)
        shop.wait(2 * DAY - HOUR)
        await shop.sold(account, 5)
        shop.wait(HOUR)
        assert isinstance(await shop.town.charge(account, 1, "late"), Insufficient)

    play(database_url, story)


def test_a_lot_that_lives_takes_back_its_own_whatever_is_asked(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 8, DAY)
        charge = await shop.sold(account, 8)
        await shop.refunded(charge, if_over="renew")
        assert shop.lots(account) == {1: 8}
        shop.wait(DAY)
        assert isinstance(await shop.town.charge(account, 1, "late"), Insufficient)
        assert shop.has(account) == (0, 0, 0)

    play(database_url, story)


def test_what_goes_back_to_a_reversed_grant_pays_the_debt(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        charge = await shop.sold(account, 9)
        shop.reverse(account)
        assert shop.has(account) == (0, 0, 9)
        refund = await shop.refunded(charge, 4)
        assert (refund.amount, refund.repaid, refund.available) == (4, 4, 0)
        assert shop.has(account) == (0, 0, 5)
        assert shop.story(account, 4) == [("refund", 4, 1), ("repayment", 4, 1)]

    play(database_url, story)


def test_what_exceeds_the_debt_becomes_a_lot_on_the_same_terms(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        end = shop.now + 9 * DAY
        shop.town.grant(account, 10, priority=3, expires_at=end.isoformat(), operations=["unit"])
        charge = await shop.sold(account, 9)
        shop.reverse(account)
        shop.town.grant(account, 7)  # repays all but 2
        refund = await shop.refunded(charge)
        assert (refund.amount, refund.repaid, refund.available) == (9, 2, 7)
        assert shop.has(account) == (7, 0, 0)
        assert shop.story(account, 6) == [
            ("refund", 2, 1),
            ("repayment", 2, 1),
            ("refund", 7, 9),
        ]
        assert terms(shop, account, 9) == ("refund", 3, end, ["unit"])

    play(database_url, story)


def test_what_comes_back_repays_a_debt_of_other_lots_too(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        charge = await shop.sold(account, 16)
        shop.reverse(account)
        assert shop.has(account) == (0, 0, 6)
        refund = await shop.refunded(charge, 5)  # to the second lot, which stands
        assert (refund.repaid, refund.available) == (5, 0)
        assert shop.has(account) == (0, 0, 1)
        assert shop.story(account, 6) == [("refund", 5, 2), ("repayment", 5, 2)]

    play(database_url, story)


def test_an_account_frozen_for_a_debt_is_open_when_a_refund_has_paid_it(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        charge = await shop.sold(account, 9)
        shop.reverse(account, policy="freeze")
        assert shop.town.status(account) == "indebted"
        await shop.refunded(charge, 8)
        assert shop.town.status(account) == "indebted"
        await shop.refunded(charge)
        assert shop.town.status(account) == "open"

    play(database_url, story)


def test_a_frozen_account_is_given_back_its_charges(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        charge = await shop.sold(account, 9)
        await shop.town.freeze(account)
        await shop.refunded(charge)
        assert shop.has(account) == (10, 0, 0)
        assert shop.town.status(account) == "frozen"

    play(database_url, story)


def test_what_comes_back_burns_in_its_old_place_and_for_its_old_operations(
    database_url: str,
) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        shop.town.grant(account, 5, priority=0, operations=["other"])
        outcome = await shop.town.charge(account, 5, "c", operation="other")
        assert isinstance(outcome, Charged)
        assert shop.lots(account) == {1: 10, 2: 0}
        await shop.sold(account, 1)  # nothing in the account is special now
        await shop.refunded(outcome.charge.movement)
        await shop.sold(account, 2)
        assert shop.lots(account) == {1: 7, 2: 5}
        await shop.town.charge(account, 6, "d", operation="other")
        assert shop.lots(account) == {1: 6, 2: 0}

    play(database_url, story)


def test_what_comes_back_to_a_linked_wallet_goes_on(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        wallet = await shop.town.wallet(ALICE)
        shop.town.grant(wallet, 10)
        charge = await shop.sold(wallet, 8)
        account = await shop.user()
        await shop.town.linked(ALICE, account, CHAIN_ID)
        assert (shop.has(wallet), shop.has(account)) == ((0, 0, 0), (2, 0, 0))
        key = shop.key()
        first = await shop.refund(charge, 5, key)
        assert isinstance(first, Refunded)
        assert first.refund.available == 0
        assert (shop.has(wallet), shop.has(account)) == ((0, 0, 0), (7, 0, 0))
        assert shop.story(wallet, 3) == [("refund", 5, 1), ("move_out", 5, 1)]
        await shop.sold(account, 7)
        again = await shop.refund(charge, 5, key)
        assert again == Refunded(first.refund, replayed=True)

    play(database_url, story)


def test_a_refund_is_made_once_by_its_key(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        shop.lasting(account, 5, DAY)
        charge = await shop.sold(account, 9)
        shop.wait(DAY)
        first = await shop.refund(charge, 7, "back")
        assert isinstance(first, Refunded)
        assert first.refund.available == 10 - 0 - 4 + 4
        await shop.sold(account, 3)
        shop.town.grant(account, 50)
        await shop.town.freeze(account)
        assert await shop.refund(charge, 7, "back") == Refunded(first.refund, replayed=True)
        assert await shop.refund(charge, 6, "back") == KeyReused()
        assert await shop.refund(charge, None, "back") == KeyReused()
        assert await shop.refund(charge, 7, "back", "renew") == KeyReused()
        assert await shop.refund(charge, 2, "key 1") == KeyReused()  # the charge's own
        await shop.refunded(charge, 2)

    play(database_url, story)


def test_only_who_charged_refunds(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        charge = await shop.sold(account, 5)
        await shop.town.operating.create_app_key(
            app="other", scopes=["charge:write"], digest=bytes(range(32)), hint=""
        )
        for access in (False, True):
            if access:
                shop.town.rows(
                    "insert into creditd.account_access (root_id, account_id, app_id)"
                    " values (%s, %s, 2)",
                    *account,
                )
            outcome = await shop.spending.refund(app_id=2, charge=charge, key="r", amount=None)
            assert outcome == NoSuchCharge()
        refund = await shop.refunded(charge, 1)
        hold = await shop.hold(account, 2)
        for no_charge in (
            MovementRef(account, 1),  # a grant
            refund.movement,
            hold,
            MovementRef(account, 99),
            MovementRef(AccountRef(5, 5), 1),
        ):
            assert await shop.refund(no_charge) == NoSuchCharge()

    play(database_url, story)


def test_a_settlement_is_refunded_like_a_charge(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 15)
        ending = await shop.settled(hold, 12)
        assert shop.lots(account) == {1: 0, 2: 8}
        await shop.refunded(ending.movement, 5)
        assert shop.lots(account) == {1: 3, 2: 10}
        assert await shop.refund(ending.movement, 8) == MoreThanTaken(7)
        await shop.refunded(ending.movement)
        assert shop.lots(account) == {1: 10, 2: 10}

    play(database_url, story)


def test_what_was_settled_beyond_the_reservation_goes_back_first(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10, 10)
        hold = await shop.hold(account, 10, over_max=5)
        ending = await shop.settled(hold, 14)
        assert shop.lots(account) == {1: 0, 2: 6}
        await shop.refunded(ending.movement, 5)
        assert shop.lots(account) == {1: 1, 2: 10}
        refund = await shop.refunded(ending.movement)
        assert refund.amount == 9
        assert shop.lots(account) == {1: 10, 2: 10}

    play(database_url, story)


def test_what_was_settled_lives_again_as_long_as_when_it_was_reserved(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user()
        shop.lasting(account, 10, 4 * DAY)
        shop.wait(DAY)
        hold = await shop.hold(account, 10, lasts=9 * DAY)
        shop.wait(5 * DAY)
        ending = await shop.settled(hold, 10)
        refund = await shop.refunded(ending.movement, if_over="renew")
        assert terms(shop, account, refund.movement.seq)[2] == shop.now + 3 * DAY

    play(database_url, story)


def test_what_the_clock_took_is_refunded_and_what_nobody_took_is_not(database_url: str) -> None:
    async def story(shop: ReservingShop) -> None:
        account = await shop.user(10)
        hold = await shop.hold(account, 6, minimum=2)
        shop.wait(HOUR)
        assert shop.tidy() == 1
        (ended,) = shop.town.rows("select ended_by from creditd.reservation")
        assert shop.has(account) == (8, 0, 0)
        await shop.refunded(MovementRef(account, ended[0]))
        assert shop.has(account) == (10, 0, 0)
        for nothing in (
            await shop.settled(await shop.hold(account, 6), 0),
            await shop.released(await shop.hold(account, 6)),
        ):
            assert await shop.refund(nothing.movement) == NoSuchCharge()
        assert hold.seq == 2

    play(database_url, story)
