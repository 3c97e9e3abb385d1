"""Grants, and the overdraft line."""

from dataclasses import dataclass, replace

from ledger.ids import AccountRef, MovementRef
from ledger.outcomes import (
    BeyondBreaker,
    Grant,
    Granted,
    GrantOutcome,
    KeyReused,
    NoSuchAccount,
    NoSuchCharge,
    OverdraftSet,
)
from specification.accounts import (
    Account,
    Kind,
    Lot,
    Taken,
    Terms,
    moment,
    movement_ref,
)
from specification.books import Answer, Books

BREAKER = (1, 2)  # all that a charge causes to be granted is at most this part of it


def grant(
    books: Books,
    now: int,
    *,
    account: AccountRef,
    key: str,
    amount: int,
    terms: Terms,
    cause: MovementRef | None = None,
) -> GrantOutcome:
    """Give credits. A `cause` is the charge that they are given for."""
    request = ("grant", amount, terms, cause)
    answer = books.answers.get(("grant", account, key))
    if answer is not None:
        if answer.request != request:
            return KeyReused()
        assert isinstance(answer.outcome, Granted)
        return replace(answer.outcome, replayed=True)
    if books.accounts[account].is_closed:
        return NoSuchAccount()
    if cause is not None:
        taken = books.taken.get(cause)
        if taken is None:
            return NoSuchCharge()
        left = backs(taken) - taken.caused - unbacked(books, cause.account)
        if amount > left:
            return BeyondBreaker(max(0, left))
        taken.caused += amount
    receiver = books.accounts[account]
    received = receive(books, receiver, amount, terms, now)
    made = Grant(
        movement=movement_ref(receiver, received.lot.no),
        amount=amount,
        repaid=received.repaid,
        available=receiver.available,
        at=moment(receiver.entries[received.lot.no - 1].at),
    )
    outcome = Granted(made, replayed=False)
    books.answers["grant", account, key] = Answer(request, outcome)
    return outcome


def backs(taken: Taken) -> int:
    """What a charge may have caused in all, by what it holds after refunds."""
    part, of = BREAKER
    return (taken.cost - taken.refunded) * part // of


def unbacked(books: Books, account: AccountRef) -> int:
    """What the account's charges have caused beyond what they back, each by itself."""
    return sum(
        max(0, taken.caused - backs(taken))
        for charge, taken in books.taken.items()
        if charge.account == account
    )


@dataclass(frozen=True)
class Received:
    lot: Lot
    repaid: int


def receive(
    books: Books, account: Account, amount: int, terms: Terms, now: int, *, recover: int = 0
) -> Received:
    """Enter a grant: it makes up for what is lost, owed or drawn; the rest can be spent."""
    account.expire(now)
    lot = account.add_lot(Kind.GRANT, amount, terms, now)
    if recover > 0:
        account.post(Kind.RECOVERY, min(recover, amount), lot, now, lot.no)
    repaid = min(account.debt, lot.remaining)
    if repaid > 0:
        account.post(Kind.REPAYMENT, repaid, lot, now, lot.no)
    account.refill_line(lot, lot.no, now)
    books.finish(account, lot.no, now)
    return Received(lot, repaid)


def set_overdraft(books: Books, now: int, *, account: AccountRef, limit: int) -> OverdraftSet:
    """Let the account draw up to `limit` more than it has. What is drawn already stays."""
    owner = books.accounts[account]
    owner.expire(now)
    owner.line_limit = limit
    owner.fit_line(now)
    line = owner.line()
    unused = 0 if line is None else line.remaining
    return OverdraftSet(used=owner.outstanding() - unused, unused=unused)
