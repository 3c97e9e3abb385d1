"""Links, organisations, and the operator's hand."""

from dataclasses import replace

from ledger.ids import AccountRef
from ledger.outcomes import Insufficient, KeyReused
from specification.accounts import OVERDRAFT
from specification.books import Answer, Books, Budget
from specification.outcomes import Linked, LinkedElsewhere, Moved, NotLinked


def link(
    books: Books, now: int, *, chain: int | None, address: bytes, account: AccountRef
) -> Linked | LinkedElsewhere:
    """Send what an address earns, on one chain or (None) on all, to an account; and what it has."""
    linked = books.links.get((chain, address), books.links.get((None, address)))
    if linked is not None:
        return Linked(account, replayed=True) if linked == account else LinkedElsewhere()
    books.links[chain, address] = account
    target = books.accounts[account]
    target.expire(now)
    for (where, who), ref in sorted(books.wallets.items()):
        if who == address and chain in {None, where}:
            source = books.accounts[ref]
            source.expire(now)
            books.move_everything(source, target, now)
    return Linked(account)


def unlink(books: Books, *, chain: int | None, address: bytes) -> bool | NotLinked:
    """Let the address earn for itself again. What has moved stays where it is."""
    if books.links.pop((chain, address), None) is None:
        return NotLinked()
    return True


def allocate(
    books: Books, now: int, *, source: AccountRef, target: AccountRef, amount: int, key: str
) -> Moved | Insufficient | KeyReused:
    """Move credits between an organisation and one of its members."""
    request = ("allocate", source, target, amount)
    answer = books.answers.get(("allocate", source, key))
    if answer is not None:
        if answer.request != request:
            return KeyReused()
        assert isinstance(answer.outcome, Moved)
        return replace(answer.outcome, replayed=True)
    giver, taker = books.accounts[source], books.accounts[target]
    giver.expire(now)
    taker.expire(now)
    lots = [lot for lot in giver.unspent() if lot.terms.source != OVERDRAFT]
    there = sum(lot.remaining for lot in lots)
    if there < amount:
        return Insufficient(amount, there, giver.debt, 0)
    left, parts = amount, []
    for lot in lots:
        part = min(left, lot.remaining)
        left -= part
        if part > 0:
            parts.append((lot, part))
    books.move(giver, taker, parts, now)
    outcome = Moved(amount)
    books.answers["allocate", source, key] = Answer(request, outcome)
    return outcome


def set_budget(books: Books, *, member: AccountRef, period: str, limit: int) -> None:
    before = books.budgets.get(member)
    used = before.used if before is not None and before.period == period else {}
    books.budgets[member] = Budget(period, limit, used)


def move_member(books: Books, now: int, *, member: AccountRef, to: AccountRef) -> None:
    """Close a membership; its own credits stay with the organisation that it leaves."""
    old = books.accounts[member]
    pool = books.accounts[AccountRef(member.root_id, member.root_id)]
    old.expire(now)
    pool.expire(now)
    books.move_everything(old, pool, now)
    old.closed = True
    books.open(to, kind="member").apps |= old.apps


def freeze(books: Books, *, account: AccountRef) -> None:
    books.accounts[account].frozen_by_operator = True


def unfreeze(books: Books, *, account: AccountRef) -> None:
    books.accounts[account].frozen_by_operator = False
