"""Links, organisations and their members, and the operator's hand."""

from dataclasses import replace
from typing import TypeVar

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    AccountClosed,
    Allocated,
    Allocation,
    AllocationOutcome,
    Frozen,
    KeyReused,
    LinkChained,
    Linked,
    LinkedElsewhere,
    LinkOutcome,
    MemberMoved,
    MemberRemoved,
    NoSuchAccount,
    NotCovered,
    StatusSet,
    Unlinked,
    UnlinkOutcome,
)
from specification.accounts import FOR_OPERATOR, OVERDRAFT, Account, Lot, moment
from specification.books import Answer, Books, Wallet
from specification.ending import sweep

Whose = TypeVar("Whose")


def link(
    books: Books, now: int, *, chain: int | None, address: bytes, account: AccountRef
) -> LinkOutcome:
    """Send what an address earns, on one chain or (None) on all, to an account; and what it has."""
    target = books.accounts[account]
    named = wallets_of(books, chain, address)
    links = [books.links[wallet] for wallet in named if wallet in books.links]
    on_all = books.links_to_come.get(address) if chain is None else None
    if any(ref not in {account, None} for ref in [*links, on_all]):
        return LinkedElsewhere()
    new = [w for w in named if w not in books.links and books.wallets[w] != account]
    if not new and (chain is not None or on_all is not None):
        return Linked(account, wallets=0, moved=0, debt=0, replayed=True)
    refusal = link_refusal(books, new, target)
    if refusal is not None:
        return refusal
    if chain is None:
        books.links_to_come[address] = account
    moved = debt = 0
    for wallet in new:
        source = books.accounts[books.wallets[wallet]]
        source.expire(now)
        before = source.available, source.debt
        books.move_everything(source, target, now)
        moved += before[0] - source.available
        debt += before[1] - source.debt
        books.links[wallet] = account
    return Linked(account, wallets=len(new), moved=moved, debt=debt, replayed=False)


def wallets_of(books: Books, chain: int | None, address: bytes) -> list[Wallet]:
    return sorted(w for w in books.wallets if w[1] == address and chain in {None, w[0]})


def link_refusal(
    books: Books, new: list[Wallet], target: Account
) -> AccountClosed | LinkChained | Frozen | None:
    if target.is_closed:
        return AccountClosed()
    sources = {books.wallets[wallet] for wallet in new}
    targets = {*books.links.values(), *books.links_to_come.values()}
    if books.home_of(target) is not None or sources & targets:
        return LinkChained()
    if any(books.accounts[ref].frozen_for == FOR_OPERATOR for ref in sources):
        return Frozen()
    return None


def unlink(
    books: Books, *, chain: int | None, address: bytes, account: AccountRef
) -> UnlinkOutcome:
    """Let the address earn for itself again. What has moved stays where it is."""
    linked = [w for w in wallets_of(books, chain, address) if w in books.links]
    ended = [wallet for wallet in linked if books.links[wallet] == account]
    for wallet in ended:
        del books.links[wallet]
    if chain is None and books.links_to_come.get(address) == account:
        del books.links_to_come[address]
        return Unlinked(replayed=False)
    if ended:
        return Unlinked(replayed=False)
    return LinkedElsewhere() if linked else Unlinked(replayed=True)


def movable(account: Account, now: int) -> list[Lot]:
    """What an account may give away: not what is for later, for some operations, or a loan."""
    return [
        lot
        for lot in account.unspent()
        if lot.terms.source != OVERDRAFT
        and lot.terms.effective_at <= now < lot.terms.expires_at
        and lot.terms.operations is None
    ]


def allocate(
    books: Books, now: int, *, app: int, member: AccountRef, amount: int, key: str, back: bool
) -> AllocationOutcome:
    """Move credits from an organisation's pool to a member, or back."""
    taker = books.reached(app, member)
    if taker is None:
        return NoSuchAccount()
    giver = books.pool_of(taker)
    if back:
        giver, taker = taker, giver
    request = ("take back" if back else "allocate", amount)
    answer = books.answers.get((app, member, key))
    if answer is not None:
        if answer.request != request:
            return KeyReused()
        assert isinstance(answer.outcome, Allocated)
        return replace(answer.outcome, replayed=True)
    giver.expire(now)
    if sum(lot.remaining for lot in movable(giver, now)) < amount:
        sweep(books, giver, now)
    there = sum(lot.remaining for lot in movable(giver, now))
    if giver.is_closed or taker.is_closed or not giver.is_open:
        return AccountClosed() if giver.is_closed or taker.is_closed else Frozen()
    if there < amount:
        return NotCovered(required=amount, available=there)
    first = giver.next_entry
    books.move(giver, taker, first_parts(movable(giver, now), amount), now)
    last = giver.entries[-1]
    allocation = Allocation(
        movement=MovementRef(giver.ref, first),
        amount=amount,
        available=last.available_after,
        at=moment(giver.entries[first - 1].at),
    )
    outcome = Allocated(allocation, replayed=False)
    books.answers[app, member, key] = Answer(request, outcome)
    return outcome


def first_parts(lots: list[Lot], amount: int) -> list[tuple[Lot, int]]:
    parts = []
    for lot in lots:
        part = min(amount, lot.remaining)
        amount -= part
        if part > 0:
            parts.append((lot, part))
    return parts


def set_budget(books: Books, *, member: AccountRef, period: str, limit: int | None) -> None:
    limits = books.budgets.setdefault(member, {})
    if limit is None:
        limits.pop(period, None)
    else:
        limits[period] = limit


def remove_member(books: Books, now: int, *, member: AccountRef) -> MemberRemoved | Frozen:
    """Close a membership: what it has and owes is the pool's, as is what comes back later."""
    old = books.accounts[member]
    if old.is_closed:
        return MemberRemoved(replayed=True)
    if old.frozen_for == FOR_OPERATOR:
        return Frozen()
    close(books, old, None, now)
    return MemberRemoved(replayed=False)


def move_member(
    books: Books, now: int, *, member: AccountRef, to: AccountRef
) -> MemberMoved | Frozen:
    """Close a membership and begin another one, `to`. Its links go along."""
    old = books.accounts[member]
    if old.frozen_for == FOR_OPERATOR:
        return Frozen()
    books.open(to, kind="member").apps |= books.accounts[AccountRef(to.root_id, to.root_id)].apps
    close(books, old, to, now)
    return MemberMoved(to, replayed=False)


def close(books: Books, old: Account, to: AccountRef | None, now: int) -> None:
    old.expire(now)
    old.is_closed, old.line_limit = True, 0
    books.finish(old, old.next_entry, now)
    books.links = redirected(books.links, old.ref, to)
    books.links_to_come = redirected(books.links_to_come, old.ref, to)


def redirected(
    links: dict[Whose, AccountRef], old: AccountRef, new: AccountRef | None
) -> dict[Whose, AccountRef]:
    """Lead links to another account, or (None) end them."""
    led = {whose: new if ref == old else ref for whose, ref in links.items()}
    return {whose: ref for whose, ref in led.items() if ref is not None}


def freeze(books: Books, *, account: AccountRef) -> StatusSet | AccountClosed:
    one = books.accounts[account]
    if one.is_closed:
        return AccountClosed()
    changed = one.frozen_for != FOR_OPERATOR
    one.frozen_for = FOR_OPERATOR
    return StatusSet(changed=changed)


def unfreeze(books: Books, *, account: AccountRef) -> StatusSet | AccountClosed:
    """Open an account again, whoever or whatever froze it."""
    one = books.accounts[account]
    if one.is_closed:
        return AccountClosed()
    changed = one.frozen_for is not None
    one.frozen_for = None
    return StatusSet(changed=changed)
