"""A story that is told to the books and to their specification alike: who is in it, and when."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from driven_books import CHAIN, DrivenBooks, agree, as_specified
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from specification.books import Books
from specification.chains import Chains, Event, Rule

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import AccountOpened
from ledger.watching import RuleEntry

BEGIN: Final = 4_102_444_800 * 1_000_000  # 2100-01-01: later than anything these books were made
SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
OPERATIONS: Final = {"chat": 1, "images": 7, "gift": 0, "vast": 10**18}  # price per unit
RULES: Final = (
    Rule("plain"),
    Rule("ending", expires_days=3),
    Rule("capped", cap_account=90, cap_account_day=40, expires_days=9),
    Rule("shared", cap_day=50, cap_total=120, source="mining"),
    Rule("borne", on_reversal="absorb", priority=40, expires_days=9),
    Rule("strict", on_reversal="freeze", cap_account_day=60),
    Rule("for images", operations=frozenset({"images"}), priority=7),
)

WALLETS: Final = 3
# Few of each, so that they meet.
PICKS = st.integers(0, 60)
NEWEST = st.integers(0, 3) | PICKS  # counted from the newest
KEYS = st.integers(0, 30).map("key {}".format)
AMOUNTS = st.integers(1, 90)
STEPS = st.sampled_from([1, SECOND, SECOND, HOUR, HOUR, DAY - 1, DAY, 9 * DAY])


Telling = TypeVar("Telling", bound=Callable[..., None])


def told(weight: int, **arguments: st.SearchStrategy[Any]) -> Callable[[Telling], Telling]:
    """Let something happen as often as its weight says, with arguments like these."""

    def mark(telling: Telling) -> Telling:
        HAPPENINGS[telling.__name__] = weight, st.fixed_dictionaries(arguments)
        return telling

    return mark


# Not a rule for each: of a story's rules some are left out at random, and too little would happen.
HAPPENINGS: Final[dict[str, tuple[int, st.SearchStrategy[dict[str, Any]]]]] = {}


def happenings() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = [name for name, (weight, _) in HAPPENINGS.items() for _ in range(weight)]
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), HAPPENINGS[name][1])
    )


class ToldTwice(RuleBasedStateMachine):
    real: ClassVar[DrivenBooks]

    @initialize()
    def begin(self) -> None:
        self.name = f"story {self.real.next_story()}"
        self.now = BEGIN
        self.real.set_clock(self.now)
        self.books = Books()
        self.chain_rules = [self.named(rule) for rule in RULES]
        self.chains = Chains(self.books, rules={rule.name: rule for rule in self.chain_rules})
        self.app = self.real.new_app(self.name)
        self.other_app = self.real.new_app(f"other {self.name}")
        self.operations = {name: f"{self.name} {name}" for name in OPERATIONS}
        for name, per_unit in OPERATIONS.items():
            self.reprice(name, 0, per_unit)
        self.accounts: list[AccountRef] = []  # in the order they came
        self.compared: dict[AccountRef, int] = {}
        self.charges: list[MovementRef] = []
        self.reservations: list[MovementRef] = []
        self.left: list[Event] = []
        self.pools: list[AccountRef] = []
        self.members: list[AccountRef] = []
        self.addresses = [self.digest(f"wallet {which}")[:20] for which in range(WALLETS)]
        for address in self.addresses:
            self.open_wallet_account(address)
        opened = self.real.run(self.real.by.spending.open_account(app_id=self.app, name=self.name))
        self.welcome(opened, "user")
        self.enter_rules()

    def named(self, rule: Rule) -> Rule:
        """The rule with its operations named as this story names them."""
        if rule.operations is None:
            return rule
        return replace(rule, operations=frozenset(f"{self.name} {o}" for o in rule.operations))

    def digest(self, of: str) -> bytes:
        return hashlib.sha256(f"{self.name} {of}".encode()).digest()

    def welcome(self, opened: AccountOpened, kind: str) -> AccountRef:
        self.books.open(opened.account, kind=kind, app=self.app)
        if opened.created:
            self.accounts.append(opened.account)
        return opened.account

    def open_wallet_account(self, address: bytes) -> AccountRef:
        opened = self.real.run(
            self.real.by.spending.open_wallet_account(
                app_id=self.app, chain_id=CHAIN, address=address
            )
        )
        self.books.see_wallet((CHAIN, address), opened.account)
        return self.welcome(opened, "wallet")

    def newest(self, movements: Sequence[MovementRef], pick: int) -> MovementRef:
        return movements[-1 - pick % len(movements)]

    def account(self, pick: int) -> AccountRef:
        """Any account; mostly one that has something."""
        able = [ref for ref in self.accounts if self.books.accounts[ref].available > 0]
        among = able if able and pick % 4 else self.accounts
        return among[pick // 4 % len(among)]

    def reprice(self, operation: str, base: int, per_unit: int) -> None:
        named = self.operations[operation]
        version = self.real.set_price(named, base, per_unit)
        agree(version, self.books.set_price(named, base, per_unit, self.now))

    def enter_rules(self) -> None:
        self.first_block = self.real.next_block()
        self.last_block = self.first_block - 1
        self.real.enter_rules(
            [
                RuleEntry(
                    name=f"{self.name} {rule.name}",
                    contract=bytes(20),
                    event=f"{self.name} {rule.name}",
                    from_block=self.first_block,
                    cap_account=rule.cap_account,
                    cap_account_day=rule.cap_account_day,
                    expires_days=rule.expires_days,
                    source=rule.source,
                    on_reversal=rule.on_reversal,
                    priority=rule.priority,
                    operations=None if rule.operations is None else tuple(rule.operations),
                    cap_day=rule.cap_day,
                    cap_total=rule.cap_total,
                )
                for rule in self.chain_rules
            ]
        )

    @rule(what=st.deferred(happenings))
    def then(self, what: tuple[str, dict[str, Any]]) -> None:
        name, arguments = what
        getattr(self, name)(**arguments)

    @told(6, step=STEPS)
    def time_passes(self, step: int) -> None:
        self.now += step
        self.real.set_clock(self.now)

    @invariant()
    def compare(self) -> None:
        for ref, account in self.books.accounts.items():
            after = self.compared.get(ref, 0)
            agree(self.real.see(ref, after), as_specified(account, after))
            self.compared[ref] = len(account.entries)
