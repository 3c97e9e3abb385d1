"""Reservations, told to both."""

from datetime import timedelta

from driven_books import DRIVEN, agree
from driven_story import DAY, HOUR, KEYS, NEWEST, PICKS, SECOND, ToldTwice, told
from hypothesis import strategies as st
from specification import reserving
from specification.accounts import moment

from ledger.outcomes import AlreadyEnded, Reserved, Settled

LASTING = st.sampled_from([SECOND, HOUR, DAY, DAY, 9 * DAY])
BOUNDS = st.sampled_from([0, 0, 4, 20])


class Holding(ToldTwice):
    @told(
        6,
        pick=PICKS,
        key=KEYS,
        operation=st.sampled_from(["chat", "chat", "images", "gift"]),
        units=st.integers(1, 12),
        lasts=LASTING,
        bounds=st.tuples(BOUNDS, BOUNDS),
    )
    def some_is_reserved(
        self,
        pick: int,
        key: str,
        operation: str,
        *,
        units: int,
        lasts: int,
        bounds: tuple[int, int],
    ) -> None:
        if "reservations" not in DRIVEN:
            return
        account, named = self.account(pick), self.operations[operation]
        minimum, over_max = bounds
        got = self.real.run(
            self.real.by.reserving.reserve(
                app_id=self.app,
                account=account,
                key=key,
                operation=named,
                units=units,
                expires_in=timedelta(microseconds=lasts),
                minimum=minimum,
                over_max=over_max,
            )
        )
        expected = reserving.reserve(
            self.books,
            self.now,
            app=self.app,
            account=account,
            key=key,
            operation=named,
            units=units,
            expires_in=lasts,
            minimum=minimum,
            over_max=over_max,
        )
        agree(got, expected)
        if isinstance(got, Reserved) and not got.replayed:
            self.reservations.append(got.reservation.movement)

    @told(6, pick=NEWEST, key=KEYS, amount=st.integers(0, 24))
    def a_reservation_is_settled(self, pick: int, key: str, amount: int) -> None:
        if not self.reservations:
            return
        reservation = self.newest(self.reservations, pick)
        got = self.real.run(
            self.real.by.reserving.settle(
                app_id=self.app, reservation=reservation, key=key, amount=amount
            )
        )
        expected = reserving.settle(
            self.books, self.now, app=self.app, reservation=reservation, key=key, amount=amount
        )
        agree(got, expected)
        if isinstance(got, Settled | AlreadyEnded):
            self.charges.append(got.ending.movement)

    @told(4, pick=NEWEST, key=KEYS, units=st.integers(0, 12), at_least=BOUNDS)
    def a_reservation_is_settled_by_units(
        self, pick: int, key: str, units: int, at_least: int
    ) -> None:
        if not self.reservations:
            return
        reservation = self.newest(self.reservations, pick)
        got = self.real.run(
            self.real.by.reserving.settle_units(
                app_id=self.app, reservation=reservation, key=key, units=units, at_least=at_least
            )
        )
        expected = reserving.settle_units(
            *(self.books, self.now),
            app=self.app,
            reservation=reservation,
            key=key,
            units=units,
            at_least=at_least,
        )
        agree(got, expected)
        if isinstance(got, Settled | AlreadyEnded):
            self.charges.append(got.ending.movement)

    @told(2, pick=NEWEST, key=KEYS)
    def a_reservation_is_released(self, pick: int, key: str) -> None:
        if not self.reservations:
            return
        reservation = self.newest(self.reservations, pick)
        got = self.real.run(
            self.real.by.reserving.release(app_id=self.app, reservation=reservation, key=key)
        )
        expected = reserving.release(
            self.books, self.now, app=self.app, reservation=reservation, key=key
        )
        agree(got, expected)

    @told(1, pick=NEWEST, later=LASTING)
    def a_reservation_is_extended(self, pick: int, later: int) -> None:
        if not self.reservations:
            return
        reservation, until = self.newest(self.reservations, pick), self.now + later
        got = self.real.run(
            self.real.by.reserving.extend(
                app_id=self.app, reservation=reservation, until=moment(until)
            )
        )
        expected = reserving.extend(
            self.books, self.now, app=self.app, reservation=reservation, until=until
        )
        agree(got, expected)

    @told(1)
    def reservations_end_by_the_clock(self) -> None:
        self.real.expire_reservations()
        reserving.end_all_due(self.books, self.now)
