"""The ledger does what its specification says, whatever happens in whatever order."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import fresh_database
from driven_asking import Asked
from driven_books import CHAIN, DrivenBooks, NewBlock, agree
from driven_gifts import Gifted
from driven_holding import Holding
from driven_story import AMOUNTS, DAY, KEYS, NEWEST, PICKS, RULES, SECOND, WALLETS, told
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from specification import charging
from specification.chains import Event

from ledger.outcomes import Charged

ORDERS = st.tuples(
    PICKS,
    KEYS,
    st.sampled_from(["chat"] * 6 + ["images"] * 3 + ["gift", "vast"]),
    st.integers(1, 12),
    st.sampled_from([None] * 12 + [1, 2]),
    st.sampled_from([False] * 15 + [True]),
)
EARNED = st.tuples(
    st.integers(0, WALLETS - 1), st.sampled_from([rule.name for rule in RULES]), AMOUNTS
)


class Story(Gifted, Holding, Asked):
    """What happens to a few accounts, told to the books and to the specification."""

    @told(
        1,
        operation=st.sampled_from(["chat", "images"]),
        base=st.integers(0, 3),
        per_unit=st.integers(0, 4),
    )
    def a_price_changes(self, operation: str, base: int, per_unit: int) -> None:
        self.reprice(operation, base, per_unit)

    @told(1)
    def the_idle_expire(self) -> None:
        self.real.expire_idle()
        for account in self.books.accounts.values():
            account.expire(self.now)

    @told(
        8,
        earned=st.lists(EARNED, min_size=1, max_size=3),
        age=st.sampled_from([0, 2 * DAY, 5 * DAY]),
    )
    def a_block_comes(self, earned: list[tuple[int, str, int]], age: int) -> None:
        number = self.real.next_block()
        at = (self.now - age) // SECOND * SECOND
        self.include(
            [
                Event(
                    cause=(CHAIN, self.digest(f"{len(self.chains.records)} {place}"), 0),
                    rule=of_rule,
                    wallet=(CHAIN, self.addresses[which]),
                    block=number,
                    place=place,
                    at=at,
                    credits=amount,
                )
                for place, (which, of_rule, amount) in enumerate(earned)
            ]
        )

    @told(2, pick=PICKS)
    def an_event_comes_back(self, pick: int) -> None:
        if not self.left:
            return
        was = self.left.pop(pick % len(self.left))
        number = self.real.next_block()
        at = self.now // SECOND * SECOND
        self.include([Event(was.cause, was.rule, was.wallet, number, 0, at, was.credits)])

    def include(self, events: list[Event]) -> None:
        included = [
            (e.cause[1], e.place, f"{self.name} {e.rule}", e.wallet[1], e.credits) for e in events
        ]
        self.last_block = self.real.append(NewBlock(events[0].at, included))
        for event in events:
            granted = self.chains.confirm(event, self.now)
            agree(self.real.granted(event.cause[1]), granted)

    @told(4, depth=st.integers(1, 4))
    def the_chain_leaves_blocks(self, depth: int) -> None:
        if self.last_block < self.first_block:
            return
        self.last_block = max(self.first_block - 1, self.last_block - depth)
        self.real.run(self.real.by.watching.reverse(self.last_block))
        self.left += [
            record.event
            for record in self.chains.records.values()
            if record.is_confirmed and record.event.block > self.last_block
        ]
        self.chains.reverse(CHAIN, self.last_block, self.now)

    @told(8, orders=st.lists(ORDERS, min_size=1, max_size=6))
    def some_are_charged(self, orders: list[tuple[int, str, str, int, int | None, bool]]) -> None:
        for pick, key, operation, units, version, is_stranger in orders:
            app = self.other_app if is_stranger else self.app
            asked: dict[str, Any] = {
                "account": self.account(pick),
                "key": key,
                "operation": self.operations[operation],
                "units": units,
            }
            got = self.real.run(
                self.real.by.spending.charge(app_id=app, price_version=version, **asked)
            )
            expected = charging.charge(self.books, self.now, app=app, version=version, **asked)
            agree(got, expected)
            if isinstance(got, Charged) and not got.replayed and got.charge.cost > 0:
                self.charges.append(got.charge.movement)
            self.compare()

    @told(
        4,
        refunds=st.lists(
            st.tuples(NEWEST, KEYS, st.none() | st.integers(0, 12)), min_size=1, max_size=3
        ),
    )
    def some_are_refunded(self, refunds: list[tuple[int, str, int | None]]) -> None:
        if not self.charges:
            return
        for pick, key, amount in refunds:
            charge = self.newest(self.charges, pick)
            got = self.real.run(
                self.real.by.spending.refund(app_id=self.app, charge=charge, key=key, amount=amount)
            )
            expected = charging.refund(
                self.books, self.now, app=self.app, charge=charge, key=key, amount=amount
            )
            agree(got, expected)
            self.compare()


@pytest.fixture(scope="module")
def real(server_url: str, template: str) -> Iterator[DrivenBooks]:
    with fresh_database(server_url, template) as url, DrivenBooks.open(url) as driven:
        yield driven


def tell(real: DrivenBooks, stories: int, steps: int) -> None:
    Story.real = real
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,  # a busy machine is no finding
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],  # tracing lines would take most of the time
            database=None,
        ),
    )


def test_the_books_do_what_the_specification_says(real: DrivenBooks) -> None:
    tell(real, stories=60, steps=30)


@pytest.mark.soak
def test_the_books_do_what_the_specification_says_for_long(real: DrivenBooks) -> None:
    tell(real, stories=2_000, steps=100)
