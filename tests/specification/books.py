"""All the accounts, and what connects them."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import Ending
from specification.accounts import FOR_DEBT, OVERDRAFT, Account, Kind, Leg, Lot, LotRef, Taken
from specification.pricing import OperationPrices
from specification.pricing import Terms as PriceTerms

COST_MAX: Final = 4 * 10**18  # of one charge
SPENT_MAX: Final = 5 * 10**18  # of one account, ever

Wallet = tuple[int, bytes]  # chain and address


@dataclass
class Answer:
    """What was said to whoever came with a key."""

    request: Hashable
    outcome: object


@dataclass
class Reservation:
    ref: MovementRef  # at whoever's lots hold it
    app: int
    member: AccountRef | None
    operation: str
    terms: PriceTerms  # of the price that it was made at
    legs: list[Leg]
    amount: int
    over_max: int
    minimum: int  # what is taken if nobody settles it in time
    expires_at: int
    at: int  # when it was made
    ending: Ending | None = None


@dataclass
class Books:
    accounts: dict[AccountRef, Account] = field(default_factory=dict)
    prices: dict[str, OperationPrices] = field(default_factory=dict)
    answers: dict[Hashable, Answer] = field(default_factory=dict)
    taken: dict[MovementRef, Taken] = field(default_factory=dict)
    wallets: dict[Wallet, AccountRef] = field(default_factory=dict)
    links: dict[Wallet, AccountRef] = field(default_factory=dict)
    links_to_come: dict[bytes, AccountRef] = field(default_factory=dict)  # of an address's wallets
    reservations: dict[MovementRef, Reservation] = field(default_factory=dict)
    budgets: dict[AccountRef, dict[str, int]] = field(default_factory=dict)  # limits by period
    paid_by_pool: list[tuple[AccountRef, int, int]] = field(
        default_factory=list
    )  # whom, when, what
    told: list[tuple[str, AccountRef]] = field(default_factory=list)

    def open(self, ref: AccountRef, *, kind: str = "user", app: int | None = None) -> Account:
        account = self.accounts.setdefault(ref, Account(ref, kind))
        if app is not None:
            account.apps.add(app)
        return account

    def reached(self, app: int, ref: AccountRef | None) -> Account | None:
        account = None if ref is None else self.accounts.get(ref)
        return account if account is not None and app in account.apps else None

    def prices_of(self, operation: str) -> OperationPrices:
        return self.prices.setdefault(operation, OperationPrices([]))

    def set_price(self, operation: str, base: int, per_unit: int, now: int) -> int:
        """Put a price for any model in force from now on, and return its version."""
        return self.prices_of(operation).set(PriceTerms(base, per_unit), now)

    def home_of(self, account: Account) -> Account | None:
        """Where all goes on to that comes to an account; None if it stays there."""
        if account.kind == "member" and account.is_closed:
            return self.pool_of(account)
        for wallet, ref in self.wallets.items():
            if ref == account.ref:
                linked = self.links.get(wallet)
                return None if linked is None else self.accounts[linked]
        return None

    def pool_of(self, member: Account) -> Account:
        return self.accounts[AccountRef(member.ref.root_id, member.ref.root_id)]

    def see_wallet(self, wallet: Wallet, own: AccountRef) -> None:
        """A wallet is there from its first event on, or since an app has named it."""
        if wallet not in self.wallets:
            self.wallets[wallet] = own
            if wallet[1] in self.links_to_come:
                self.links[wallet] = self.links_to_come[wallet[1]]

    def finish(self, account: Account, movement: int, now: int) -> None:
        """End a movement: debts take what is there, and linked wallets keep nothing."""
        account.repay(movement, now)
        account.fit_line(now, movement)
        home = self.home_of(account)
        if home is not None:
            self.move_everything(account, home, now, movement)

    def move_everything(
        self, source: Account, target: Account, now: int, movement: int | None = None
    ) -> None:
        """Move all that is left of lots, but not an overdraft, and the debt."""
        lots = [lot for lot in source.unspent() if lot.terms.source != OVERDRAFT]
        self.move(source, target, [(lot, lot.remaining) for lot in lots], now, movement)

    def move(
        self,
        source: Account,
        target: Account,
        parts: list[tuple[Lot, int]],
        now: int,
        movement: int | None = None,
    ) -> None:
        """Move parts of lots, and all of the debt, to another account."""
        if not parts and source.debt == 0:
            return
        target.expire(now)
        out = source.next_entry if movement is None else movement
        into = target.next_entry
        for lot, amount in parts:
            source.post(Kind.MOVE_OUT, amount, lot, now, out)
            origin = lot.origin or LotRef(source.ref, lot.no)
            target.add_lot(Kind.MOVE_IN, amount, lot.terms, now, movement=into, origin=origin)
        if source.debt > 0:
            target.post(Kind.DEBT_IN, source.debt, None, now, into)
            source.post(Kind.DEBT_OUT, source.debt, None, now, out)
        if source.frozen_for == FOR_DEBT and source.debt == 0:
            source.frozen_for = None
            target.frozen_for = target.frozen_for or FOR_DEBT
        target.repay(into, now)
        for lot in target.unspent():
            if lot.no >= into:
                target.refill_line(lot, into, now)
        self.finish(target, into, now)

    def descendants(self, origin: LotRef) -> list[tuple[Account, Lot]]:
        """A lot and all that was moved of it, wherever it is now."""
        return [
            (account, lot)
            for ref, account in sorted(self.accounts.items())
            for lot in account.lots.values()
            if origin in {lot.origin, LotRef(ref, lot.no)}
        ]
