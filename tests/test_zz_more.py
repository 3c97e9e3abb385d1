"""The ledger does what its specification says, whatever happens in whatever order."""

import hashlib
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import pytest
from driven_books import CHAIN, DrivenBooks, NewBlock, as_specified
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from specification import charging
from specification.books import Books
from specification.chains import Cause, Chains, Event, Rule

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Charged
from ledger.watching import RuleEntry

import ledger.spending as _sp
_sp._REFUND=_sp._REFUND.replace("%s::uuid","encode(%s,'hex')::uuid")
from collections import Counter
C=Counter()
BEGIN: Final = 4_102_444_800 * 1_000_000  # 2100-01-01: later than anything these books were made
SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

# Few of each, so that they meet.
ACCOUNTS = st.integers(0, 2)
KEYS = st.integers(0, 5).map("key {}".format)
AMOUNTS = st.integers(1, 40)
OPERATIONS = ("chat", "images", "gift", "vast")
UNITS = st.integers(1, 12)
PICKS = st.integers(0, 30)
STEPS = st.sampled_from([1, SECOND, 3_600 * SECOND, DAY - 1, DAY, 9 * DAY])


class Story(RuleBasedStateMachine):
    """What happens to a few accounts, told to the books and to the specification."""

    real: ClassVar[DrivenBooks]

    @initialize()
    def begin(self) -> None:
        self.name = f"story {self.real.next_story()}"
        self.now = BEGIN
        self.real.set_clock(self.now)
        self.books = Books()
        self.chains = Chains(self.books)
        self.app = self.real.new_app(self.name)
        self.other_app = self.real.new_app(f"other {self.name}")
        self.compared: dict[AccountRef, int] = {}
        self.charges: list[MovementRef] = []
        self.left: list[Event] = []
        self.operations: dict[str, str] = {}
        for operation, per_unit in zip(OPERATIONS, (1, 7, 0, 10**18), strict=True):
            self.operations[operation] = f"{self.name} {operation}"
            self.reprice(operation, 0, per_unit)
        self.accounts = [self.wallet_account(0), self.wallet_account(1), self.user_account()]
        self.enter_rules()

    def teardown(self) -> None:
        if hasattr(self, "accounts"):
            self.compare()
        for a in self.books.accounts.values():
            C['accounts']+=1
            for e in a.entries: C[e.kind.name]+=1
            for m in {e.movement for e in a.entries}:
                C['-'.join(e.kind.name for e in a.entries if e.movement==m)]+=1

    def wallet_account(self, which: int) -> AccountRef:
        address = hashlib.sha256(f"{self.name} {which}".encode()).digest()[:20]
        opened = self.real.runner.run(
            self.real.spending.open_wallet_account(app_id=self.app, chain_id=CHAIN, address=address)
        )
        self.books.open(opened.account, kind="wallet", app=self.app)
        self.books.wallets[CHAIN, address] = opened.account
        return opened.account

    def user_account(self) -> AccountRef:
        opened = self.real.runner.run(
            self.real.spending.open_account(app_id=self.app, name=self.name)
        )
        self.books.open(opened.account, app=self.app)
        return opened.account

    def reprice(self, operation: str, base: int, per_unit: int) -> None:
        named = self.operations[operation]
        version = self.real.set_price(named, base, per_unit)
        assert version == self.books.set_price(named, base, per_unit, self.now)

    def enter_rules(self) -> None:
        first = self.real.next_block()
        rules = [
            Rule("plain"),
            Rule("ending", expires_days=3),
            Rule("capped", cap_account=60, cap_account_day=30, expires_days=9),
        ]
        self.chains.rules = {rule.name: rule for rule in rules}
        self.real.enter_rules(
            [
                RuleEntry(
                    name=f"{self.name} {rule.name}",
                    contract=bytes(20),
                    event=f"{self.name} {rule.name}",
                    from_block=first,
                    cap_account=rule.cap_account,
                    cap_account_day=rule.cap_account_day,
                    expires_days=rule.expires_days,
                )
                for rule in rules
            ]
        )
        self.first_block = first

    # Time and prices

    @rule(step=STEPS)
    def time_passes(self, step: int) -> None:
        self.now += step
        self.real.set_clock(self.now)

    @rule(
        operation=st.sampled_from(OPERATIONS[:2]),
        base=st.integers(0, 3),
        per_unit=st.integers(0, 4),
    )
    def a_price_changes(self, operation: str, base: int, per_unit: int) -> None:
        self.reprice(operation, base, per_unit)

    @rule()
    def the_idle_expire(self) -> None:
        self.real.runner.run(self.real.watching.expire_idle(10_000))
        for account in self.books.accounts.values():
            account.expire(self.now)

    # Chains

    @rule(
        earned=st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from(["plain", "ending", "capped"]), AMOUNTS),
            min_size=1,
            max_size=3,
        ),
        age=st.sampled_from([0, 2 * DAY, 5 * DAY]),
    )
    def a_block_comes(self, earned: list[tuple[int, str, int]], age: int) -> None:
        number = self.real.next_block()
        wallets = list(self.books.wallets)
        at = (self.now - age) // SECOND * SECOND
        events = []
        for place, (which, of_rule, amount) in enumerate(earned):
            tx_hash = hashlib.sha256(f"{self.name} {len(self.chains.records)} {place}".encode())
            cause: Cause = (CHAIN, tx_hash.digest(), 0)
            events.append(Event(cause, of_rule, wallets[which], number, place, at, amount))
        self.include(events, number, at)

    @precondition(lambda self: self.left)
    @rule(pick=PICKS)
    def an_event_comes_back(self, pick: int) -> None:
        was = self.left.pop(pick % len(self.left))
        number = self.real.next_block()
        at = self.now // SECOND * SECOND
        event = Event(was.cause, was.rule, was.wallet, number, 0, at, was.credits)
        self.include([event], number, at)

    def include(self, events: list[Event], number: int, at: int) -> None:
        block = NewBlock(
            at,
            [
                (e.cause[1], e.place, f"{self.name} {e.rule}", e.wallet[1], e.credits)
                for e in events
            ],
        )
        assert self.real.append(block) == number
        for event in sorted(events, key=lambda e: (self.books.wallets[e.wallet], e.place)):
            granted = self.chains.confirm(event, self.now)
            assert self.real.granted(event.cause[1]) == granted

    @precondition(lambda self: self.real.next_block() > self.first_block)
    @rule(depth=st.integers(1, 4))
    def the_chain_leaves_blocks(self, depth: int) -> None:
        to = max(self.first_block - 1, self.real.next_block() - 1 - depth)
        self.real.runner.run(self.real.watching.reverse(to))
        self.left += [
            record.event
            for record in self.chains.records.values()
            if record.is_confirmed and record.event.block > to
        ]
        self.chains.reverse(CHAIN, to, self.now)

    # Spending

    @rule(
        which=ACCOUNTS,
        key=KEYS,
        operation=st.sampled_from(OPERATIONS),
        units=UNITS,
        version=st.sampled_from([None, None, None, 1, 2]),
        by_stranger=st.sampled_from([False] * 9 + [True]),
    )
    def somebody_is_charged(
        self,
        which: int,
        key: str,
        operation: str,
        units: int,
        version: int | None,
        *,
        by_stranger: bool,
    ) -> None:
        asked: dict[str, Any] = {
            "account": self.accounts[which % len(self.accounts)],
            "key": key,
            "operation": self.operations[operation],
            "units": units,
        }
        app = self.other_app if by_stranger else self.app
        got = self.real.runner.run(
            self.real.spending.charge(app_id=app, price_version=version, **asked)
        )
        expected = charging.charge(self.books, self.now, app=app, version=version, **asked)
        assert got == expected
        C[type(got).__name__]+=1
        if isinstance(got, Charged) and not got.replayed:
            self.charges.append(got.charge.movement)

    @precondition(lambda self: self.charges)
    @rule(pick=PICKS, key=KEYS, amount=st.none() | st.integers(0, 30))
    def a_charge_is_refunded(self, pick: int, key: str, amount: int | None) -> None:
        charge = self.charges[pick % len(self.charges)]
        got = self.real.runner.run(
            self.real.spending.refund(app_id=self.app, charge=charge, key=key, amount=amount)
        )
        expected = charging.refund(
            self.books, self.now, app=self.app, charge=charge, key=key, amount=amount
        )
        assert got == expected
        C[type(got).__name__]+=1

    # What is compared after each step

    @invariant()
    def compare(self) -> None:
        for ref, account in self.books.accounts.items():
            after = self.compared.get(ref, 0)
            assert self.real.see(ref, after) == as_specified(account, after)
            self.compared[ref] = len(account.entries)


@pytest.fixture(scope="module")
def real(server_url: str, template: str) -> Iterator[DrivenBooks]:
    from conftest import fresh_database

    with fresh_database(server_url, template) as url, DrivenBooks.open(url) as driven:
        yield driven


def tell(real: DrivenBooks, stories: int, steps: int) -> None:
    Story.real = real
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        ),
    )


def test_the_books_do_what_the_specification_says(real: DrivenBooks) -> None:
    tell(real, stories=100, steps=50)


@pytest.mark.soak
def test_the_books_do_what_the_specification_says_for_long(real: DrivenBooks) -> None:
    tell(real, stories=2_000, steps=100)

def test_zz():
    print(C)
    assert 0
