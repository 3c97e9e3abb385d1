"""The commands about accounts: whose they are, who shares them, and who may act for them."""

import asyncio
import json
import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final

from daemon.command_line.configured import config_of
from daemon.processes.postgres import database
from ledger.consents import Consents, May, consents_of
from ledger.credits import format_credits, parse_credits
from ledger.errors import LedgerError
from ledger.holders import app_number, named_accounts, organisations
from ledger.ids import AccountRef, format_account
from ledger.operating import Operating
from ledger.operator_acts import OperatorActs, Signature
from ledger.outcomes import (
    AccountClosed,
    AccountOpened,
    BudgetSet,
    ConsentEnded,
    ConsentGiven,
    Frozen,
    MemberRemoved,
    NameTaken,
    NoConsentNeeded,
    NoSuchApp,
    NoSuchConsent,
    OverdraftSet,
    StatusSet,
)
from ledger.reading import PAGE_MAX, Reading
from ledger.sharing import Sharing
from ledger.spending import Spending

NAME_MAX: Final = 200  # as the books have it

Row = dict[str, object]
Run = Callable[[str, Namespace], Coroutine[Any, Any, list[Row]]]

# What stands in the way, where an outcome says no more than that it did.
_WHY: Final[Mapping[type, str]] = MappingProxyType(
    {
        NameTaken: "the name stands for another account of the app already: choose another",
        AccountClosed: "the account is that of a member who has left",
        Frozen: "the account is frozen: `creditd account show` says why",
        NoSuchApp: "no app has this name: take it as `creditd key create` was given it",
        NoConsentNeeded: "the app reaches the account without consent, or it is an organisation's"
        " pool, which is opened to no other app",
        NoSuchConsent: "the account has no such consent: `creditd consent list` numbers them",
    }
)


def _refused(outcome: object, account: AccountRef | None = None) -> LedgerError:
    named = "" if account is None else f"{format_account(account)}: "
    missing = "there is no such account that the app has the say over"
    return LedgerError(f"{named}{_WHY.get(type(outcome), missing)}")


def _credits(text: str) -> int:
    try:
        return parse_credits(text)
    except ValueError as error:
        raise LedgerError(str(error)) from error


async def _app(url: str, name: str) -> int:
    async with Reading.open(url, role="creditd_operator") as reading:
        number = await app_number(reading, name)
    if number is None:
        raise LedgerError(f"no app is called {name}: `creditd key create --app {name}` enters it")
    return number


async def _account_open(url: str, options: Namespace) -> list[Row]:
    if not 1 <= len(options.name) <= NAME_MAX:
        raise LedgerError(f"an account's name has 1 to {NAME_MAX} characters")
    app_id = await _app(url, options.app)
    async with Spending.open(url, lanes=1) as spending:
        opened = await spending.open_account(app_id=app_id, name=options.name)
    return [_opened(opened, options.name)]


async def _account_list(url: str, options: Namespace) -> list[Row]:
    return await _named(url, options, of=named_accounts)


async def _organisation_list(url: str, options: Namespace) -> list[Row]:
    return await _named(url, options, of=organisations)


async def _named(url: str, options: Namespace, *, of: Callable[..., Awaitable[Any]]) -> list[Row]:
    app_id = await _app(url, options.app)
    found: list[Row] = []
    after = ""
    async with Reading.open(url, role="creditd_operator") as reading:
        while rows := await of(reading, app_id, after=after, limit=PAGE_MAX):
            found += [
                {
                    "account": format_account(row.account),
                    "name": row.name,
                    "kind": row.kind,
                    "status": row.status,
                }
                for row in rows
            ]
            after = rows[-1].name
    return found


async def _account_show(url: str, options: Namespace) -> list[Row]:
    async with Reading.open(url, role="creditd_operator") as reading:
        balance = await reading.balance(options.account)
        if balance is None:
            raise LedgerError(f"the books know no account {format_account(options.account)}")
        changes = await reading.status_changes(options.account, before_no=None, limit=PAGE_MAX)
    amounts = ("available", "held", "pending", "debt", "granted", "spent")
    has: Row = {name: format_credits(getattr(balance, name)) for name in amounts}
    account = format_account(options.account)
    history: list[Row] = [
        {
            "at": change.at.isoformat(),
            "status": change.status,
            "by": change.changed_by,
            "reason": change.reason,
        }
        for change in changes
    ]
    return [{"account": account, **has, "frozen": balance.frozen}, *history]


async def _freeze(url: str, options: Namespace) -> list[Row]:
    return await _set_frozen(url, options, frozen=True)


async def _unfreeze(url: str, options: Namespace) -> list[Row]:
    return await _set_frozen(url, options, frozen=False)


async def _set_frozen(url: str, options: Namespace, *, frozen: bool) -> list[Row]:
    signed = Signature(options.by, options.reason)
    async with OperatorActs.open(url) as acts:
        outcome = await acts.set_frozen(options.account, frozen=frozen, signed=signed)
    if not isinstance(outcome, StatusSet):
        raise _refused(outcome, options.account)
    account = format_account(options.account)
    return [{"account": account, "frozen": frozen, "changed": outcome.changed}]


async def _overdraft(url: str, options: Namespace) -> list[Row]:
    async with Operating.open(url) as operating:
        outcome = await operating.set_overdraft(options.account, _credits(options.limit))
    if not isinstance(outcome, OverdraftSet):
        raise _refused(outcome, options.account)
    account = format_account(options.account)
    used, unused = format_credits(outcome.used), format_credits(outcome.unused)
    return [{"account": account, "used": used, "unused": unused}]


async def _organisation_open(url: str, options: Namespace) -> list[Row]:
    app_id = await _app(url, options.app)
    async with Sharing.open(url) as sharing:
        opened = await sharing.open_organisation(app_id=app_id, name=options.name)
    if not isinstance(opened, AccountOpened):
        raise _refused(opened)
    return [_opened(opened, options.name)]


async def _member_add(url: str, options: Namespace) -> list[Row]:
    app_id = await _app(url, options.app)
    async with Sharing.open(url) as sharing:
        opened = await sharing.add_member(
            app_id=app_id, organisation=options.account, name=options.name
        )
    if not isinstance(opened, AccountOpened):
        raise _refused(opened, options.account)
    return [_opened(opened, options.name)]


async def _member_list(url: str, options: Namespace) -> list[Row]:
    found: list[Row] = []
    after: AccountRef | None = None
    async with Reading.open(url, role="creditd_operator") as reading:
        while rows := await reading.members(options.account, after=after, limit=PAGE_MAX):
            found += [
                {"account": format_account(row.account), "name": row.name, "status": row.status}
                for row in rows
            ]
            after = rows[-1].account
    return found


async def _member_remove(url: str, options: Namespace) -> list[Row]:
    app_id = await _app(url, options.app)
    async with Sharing.open(url) as sharing:
        outcome = await sharing.remove_member(app_id=app_id, member=options.account)
    if not isinstance(outcome, MemberRemoved):
        raise _refused(outcome, options.account)
    return [{"account": format_account(options.account), "changed": not outcome.replayed}]


async def _budget_set(url: str, options: Namespace) -> list[Row]:
    return await _set_budget(url, options, _credits(options.amount))


async def _budget_end(url: str, options: Namespace) -> list[Row]:
    return await _set_budget(url, options, None)


async def _set_budget(url: str, options: Namespace, amount: int | None) -> list[Row]:
    app_id = await _app(url, options.app)
    async with Sharing.open(url) as sharing:
        outcome = await sharing.set_budget(
            app_id=app_id, member=options.account, period=options.period, amount=amount
        )
    if not isinstance(outcome, BudgetSet):
        raise _refused(outcome, options.account)
    return await _budget_show(url, options)


async def _budget_show(url: str, options: Namespace) -> list[Row]:
    async with Reading.open(url, role="creditd_operator") as reading:
        rows = await reading.budgets(options.account)
    return [
        {
            "period": row.period,
            "amount": format_credits(row.amount),
            "used": format_credits(row.used),
        }
        for row in rows
    ]


async def _consent_give(url: str, options: Namespace) -> list[Row]:
    may: May = "read" if options.read_only else "spend"
    async with Consents.open(url, "creditd_operator") as consents:
        outcome = await consents.give(options.account, app=options.app, may=may, by=options.by)
    if not isinstance(outcome, ConsentGiven):
        raise _refused(outcome, options.account)
    number, changed = outcome.number, not outcome.replayed
    return [{"number": number, "app": options.app, "may": may, "changed": changed}]


async def _consent_list(url: str, options: Namespace) -> list[Row]:
    found: list[Row] = []
    before: int | None = None
    async with Reading.open(url, role="creditd_operator") as reading:
        while rows := await consents_of(reading, options.account, before=before, limit=PAGE_MAX):
            found += [
                {
                    "number": row.number,
                    "app": row.app,
                    "may": row.may,
                    "given_by": row.given_by,
                    "withdrawn_by": row.withdrawn_by,
                }
                for row in rows
            ]
            before = rows[-1].number
    return found


async def _consent_withdraw(url: str, options: Namespace) -> list[Row]:
    async with Consents.open(url, "creditd_operator") as consents:
        outcome = await consents.withdraw(options.account, options.number, by=options.by)
    if not isinstance(outcome, ConsentEnded):
        raise _refused(outcome, options.account)
    return [{"number": options.number, "changed": not outcome.replayed}]


def _opened(opened: AccountOpened, name: str) -> Row:
    return {"account": format_account(opened.account), "name": name, "created": opened.created}


def _command(run: Run) -> Callable[[Namespace], int]:
    """Return the command that runs it on the configured books, and prints the rows."""

    def command(options: Namespace) -> int:
        with database(config_of(options).database, os.environ) as url:
            rows = asyncio.run(run(url, options))
        if options.json:
            print(json.dumps(rows, indent=2))
            return 0
        for row in rows:
            print("  ".join(f"{name} {_shown(value)}" for name, value in row.items()))
        if not rows:
            print("none")
        return 0

    return command


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


COMMANDS: Final[Mapping[str, Callable[[Namespace], int]]] = MappingProxyType(
    {
        "account open": _command(_account_open),
        "account list": _command(_account_list),
        "account show": _command(_account_show),
        "account freeze": _command(_freeze),
        "account unfreeze": _command(_unfreeze),
        "account overdraft": _command(_overdraft),
        "organisation open": _command(_organisation_open),
        "organisation list": _command(_organisation_list),
        "member add": _command(_member_add),
        "member list": _command(_member_list),
        "member remove": _command(_member_remove),
        "budget set": _command(_budget_set),
        "budget end": _command(_budget_end),
        "budget show": _command(_budget_show),
        "consent give": _command(_consent_give),
        "consent list": _command(_consent_list),
        "consent withdraw": _command(_consent_withdraw),
    }
)
