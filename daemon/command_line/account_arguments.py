"""What can be typed about accounts: whose they are, who shares them, and who may act for them."""

import argparse
from typing import Final, get_args

from daemon.command_line.command_parts import Commands, account, add, add_group, add_json
from ledger.periods import Period

_ACCOUNT: Final = "Open, look at, freeze and overdraw accounts."
_OPEN: Final = """\
Open an app's account under the app's own name for it, or find it.

example:
  creditd account open --app shop --name alice
"""
_LIST: Final = "List the accounts that an app opened, by name, organisations among them."
_SHOW: Final = "Show what an account has and owes, and who froze or opened it, and why."
_FREEZE: Final = """\
Refuse an account's charges and reservations; what comes in or ends goes on.
Your name and the reason are kept in the books for good.

example:
  creditd account freeze acct_… --by alice --reason "stolen API key"
"""
_UNFREEZE: Final = "Let an account's charges go on, whether an operator froze it or a debt."
_OVERDRAFT: Final = """\
Let an account go so many credits below nothing; 0 ends it. What comes in pays
back first what is used of it.

example:
  creditd account overdraft acct_… 50
"""
_ORGANISATION: Final = "Open and list organisations: accounts that pay for their members."
_ORG_OPEN: Final = """\
Open an app's organisation under the app's own name for it, or find it. The
account that is shown is its pool.

example:
  creditd organisation open --app shop --name works
"""
_ORG_LIST: Final = "List an app's organisations, by name."
_MEMBER: Final = "Add, list and remove an organisation's members."
_MEMBER_ADD: Final = """\
Open a member's account under the organisation's name for it, or find it.

example:
  creditd member add acct_… --app shop --name anna
"""
_MEMBER_LIST: Final = "List an organisation's members, those that left too."
_MEMBER_REMOVE: Final = "End a membership: what the member has and owes is the pool's."
_BUDGET: Final = "Say what an organisation's pool pays for a member."
_BUDGET_SET: Final = """\
Let the pool pay up to so many credits for a member in each period, in UTC. Of
several periods' budgets each must leave room; without any the pool pays
nothing.

example:
  creditd budget set acct_… --app shop --period month --amount 100
"""
_BUDGET_SHOW: Final = "Show a member's budgets, and what was used of them."
_BUDGET_END: Final = "End a member's budget of a period."
_CONSENT: Final = "Say which apps may act for an account, as its owner wants it."
_CONSENT_GIVE: Final = """\
Let an app act for an account whose owner has told you so: charge, reserve and
read, or with --read-only only read.

example:
  creditd consent give acct_… --app printer --by "alice for the owner"
"""
_CONSENT_LIST: Final = "List which apps may act for an account or might once, newest first."
_CONSENT_WITHDRAW: Final = """\
Take a consent back, by its number in the list: no charge that begins after goes
through. What the app has reserved it may still settle or release.
"""
PERIODS: Final = get_args(Period)


def add_account_commands(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the commands about accounts."""
    group = add_group(commands, "account", "open, look at, freeze accounts", _ACCOUNT)
    _named(_add(group, "open", "open or find an app's account", _OPEN, group="account"))
    _of_app(_add(group, "list", "an app's accounts", _LIST, group="account"))
    _of_account(_add(group, "show", "what an account has", _SHOW, group="account"))
    for name, summary, description in (
        ("freeze", "refuse its charges", _FREEZE),
        ("unfreeze", "let its charges go on", _UNFREEZE),
    ):
        _signed(_of_account(_add(group, name, summary, description, group="account")))
    overdraft = _add(group, "overdraft", "how far it may go", _OVERDRAFT, group="account")
    _of_account(overdraft).add_argument("limit", metavar="CREDITS", help="how far below nothing")
    group = add_group(commands, "organisation", "accounts that others share", _ORGANISATION)
    _named(_add(group, "open", "open or find one", _ORG_OPEN, group="organisation"))
    _of_app(_add(group, "list", "an app's organisations", _ORG_LIST, group="organisation"))
    _add_member(commands)
    _add_consent(commands)


def _add_member(commands: "Commands[argparse.ArgumentParser]") -> None:
    group = add_group(commands, "member", "who shares an organisation", _MEMBER)
    _named(_of_account(_add(group, "add", "add or find one", _MEMBER_ADD, group="member")))
    _of_account(_add(group, "list", "an organisation's members", _MEMBER_LIST, group="member"))
    remove = _add(group, "remove", "end a membership", _MEMBER_REMOVE, group="member")
    _of_app(_of_account(remove))
    group = add_group(commands, "budget", "what a pool pays for a member", _BUDGET)
    set_ = _add(group, "set", "set a period's budget", _BUDGET_SET, group="budget")
    _of_app(_of_account(set_)).add_argument(
        "--amount", metavar="CREDITS", required=True, help="the most in each period"
    )
    end = _add(group, "end", "end a period's budget", _BUDGET_END, group="budget")
    _of_app(_of_account(end))
    for each in (set_, end):
        each.add_argument("--period", choices=PERIODS, required=True, help="by which it counts")
    _of_account(_add(group, "show", "a member's budgets", _BUDGET_SHOW, group="budget"))


def _add_consent(commands: "Commands[argparse.ArgumentParser]") -> None:
    group = add_group(commands, "consent", "which apps act for an account", _CONSENT)
    give = _add(group, "give", "let an app act", _CONSENT_GIVE, group="consent")
    _of_app(_of_account(give)).add_argument(
        "--read-only", action="store_true", help="it may only read"
    )
    _of_account(_add(group, "list", "who may, who might", _CONSENT_LIST, group="consent"))
    withdraw = _add(group, "withdraw", "take it back", _CONSENT_WITHDRAW, group="consent")
    _of_account(withdraw).add_argument("number", type=int, metavar="NUMBER", help="from the list")
    for each in (give, withdraw):
        each.add_argument("--by", metavar="WHO", required=True, help="your name")


def _add(
    commands: "Commands[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    *,
    group: str,
) -> argparse.ArgumentParser:
    command = add(commands, name, summary, description, group=group)
    add_json(command)
    return command


def _of_account(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("account", type=account, metavar="ACCOUNT", help="its name, acct_…")
    return command


def _of_app(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--app", metavar="NAME", required=True, help="the app's name")
    return command


def _named(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _of_app(command).add_argument("--name", metavar="NAME", required=True, help="what it is called")
    return command


def _signed(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--by", metavar="WHO", required=True, help="your name")
    command.add_argument("--reason", metavar="WHY", required=True, help="why")
    return command
