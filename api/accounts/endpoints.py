"""The endpoints of accounts."""

from typing import Final

from api.accounts import balance, earnings, entries, opening, wire
from api.calling.calls import AnyEndpoint, Endpoint
from api.problems import refusals
from api.shapes import NoBody, NoQuery, PageQuery
from ledger import outcomes

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/accounts",
        name="open-account",
        summary="Open or find an account: the app's own by name, or that of a wallet",
        scopes=("accounts:write", "accounts:attest"),
        body=wire.AccountRequest,
        query=NoQuery,
        answers={201: wire.Account, 200: wire.Account},
        leads_to=dict.fromkeys(("get-balance", "list-entries", "list-earnings"), "account"),
        headers=("Location",),
        for_apps=True,
        repeatable=True,
        refusals=(outcomes.ConsentWithdrawn,),
        run=opening.open_account,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/balance",
        name="get-balance",
        summary="What an account has, what is pending, and what it owes",
        scopes=("balance:read",),
        body=NoBody,
        query=wire.BalanceQuery,
        answers={200: wire.Balance},
        headers=("Credits-Balance", "Credits-Version"),
        refusals=(outcomes.NoSuchAccount, refusals.VersionAhead),
        run=balance.balance,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/entries",
        name="list-entries",
        summary="The account's rows in the books, newest first",
        scopes=("balance:read",),
        body=NoBody,
        query=PageQuery,
        answers={200: wire.EntryPage},
        refusals=(outcomes.NoSuchAccount,),
        run=entries.entries,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/earnings",
        name="list-earnings",
        summary="What the account's wallets earned on the chains, newest first",
        scopes=("balance:read",),
        body=NoBody,
        query=PageQuery,
        answers={200: wire.EarningPage},
        refusals=(outcomes.NoSuchAccount,),
        run=earnings.earnings,
    ),
)
