"""Every endpoint there is: what it needs, takes, answers and refuses.

The routes, the checks before an endpoint runs and the OpenAPI document are all made of this table.
"""

from collections.abc import Mapping
from typing import Final

from api import accounts, charges, operations, pages, refusals, status, wire
from api.calls import AnyEndpoint, Document, Endpoint, OpenEndpoint, Parts
from api.metrics import MEDIA_TYPE as METRICS_MEDIA_TYPE
from api.problems import BY_CODE
from api.shortfall import Shortfall
from ledger import errors, outcomes


async def _problem(_parts: Parts, path: Mapping[str, str]) -> Document:
    row = BY_CODE.get(path["code"])
    if row is None:
        raise refusals.Refused(refusals.NotFound())
    return Document("text/html; charset=utf-8", pages.problem_page(row).encode())


# Charges stand first: routes are tried in this order, and most requests are charges.
ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/charges",
        name="charge",
        summary="Take an operation's price from an account, once per idempotency key",
        scopes=("charge:write",),
        body=wire.ChargeRequest,
        query=wire.NoQuery,
        answers={201: wire.Charge},
        headers=("Location", "Credits-Balance", "Credits-Cost", "Idempotent-Replayed"),
        refusals=(
            Shortfall,
            outcomes.OverBudget,
            outcomes.Frozen,
            outcomes.NoSuchAccount,
            outcomes.PriceChanged,
            outcomes.KeyReused,
            refusals.NotPriced,
            outcomes.TooExpensive,
        ),
        run=charges.charge,
    ),
    Endpoint(
        method="GET",
        path="/v1/charges/{charge}",
        name="get-charge",
        summary="Look a charge up, and what was given back of it",
        scopes=("balance:read",),
        body=wire.NoBody,
        query=wire.NoQuery,
        answers={200: wire.ChargeRecord},
        refusals=(outcomes.NoSuchCharge,),
        run=charges.look_up,
    ),
    Endpoint(
        method="POST",
        path="/v1/charges/{charge}/refund",
        name="refund",
        summary="Give a charge back, whole or part, once per idempotency key",
        scopes=("charge:write",),
        body=wire.RefundRequest,
        query=wire.NoQuery,
        answers={200: wire.Refund},
        headers=("Credits-Balance", "Idempotent-Replayed"),
        refusals=(outcomes.NoSuchCharge, outcomes.KeyReused, outcomes.MoreThanTaken),
        run=charges.refund,
    ),
    Endpoint(
        method="POST",
        path="/v1/accounts",
        name="open-account",
        summary="Open or find an account: the app's own by name, or that of a wallet",
        scopes=("accounts:write", "accounts:attest"),
        body=wire.AccountRequest,
        query=wire.NoQuery,
        answers={201: wire.Account, 200: wire.Account},
        headers=("Location",),
        run=accounts.open_account,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/balance",
        name="get-balance",
        summary="What an account has, what is pending, and what it owes",
        scopes=("balance:read",),
        body=wire.NoBody,
        query=wire.NoQuery,
        answers={200: wire.Balance},
        headers=("Credits-Balance",),
        refusals=(outcomes.NoSuchAccount,),
        run=accounts.balance,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/entries",
        name="list-entries",
        summary="The account's rows in the books, newest first",
        scopes=("balance:read",),
        body=wire.NoBody,
        query=wire.PageQuery,
        answers={200: wire.EntryPage},
        refusals=(outcomes.NoSuchAccount,),
        run=accounts.entries,
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/earnings",
        name="list-earnings",
        summary="What the account's wallets earned on the chains, newest first",
        scopes=("balance:read",),
        body=wire.NoBody,
        query=wire.PageQuery,
        answers={200: wire.EarningPage},
        refusals=(outcomes.NoSuchAccount,),
        run=accounts.earnings,
    ),
    Endpoint(
        method="GET",
        path="/v1/operations",
        name="list-operations",
        summary="The operations and their prices in force",
        scopes=(),
        body=wire.NoBody,
        query=wire.NoQuery,
        answers={200: wire.OperationList},
        run=operations.list_operations,
    ),
    OpenEndpoint(
        path="/healthz",
        name="healthz",
        summary="Whether the process runs",
        shape=wire.Health,
        run=status.healthz,
    ),
    OpenEndpoint(
        path="/readyz",
        name="readyz",
        summary="Whether the process can charge: its ledger answers",
        shape=wire.Ready,
        refusals=(errors.LedgerBusy, errors.LedgerUnavailable, errors.SchemaMismatch),
        run=status.readyz,
    ),
    OpenEndpoint(
        path="/status",
        name="status",
        summary="How far every chain has been followed",
        shape=wire.Status,
        refusals=(errors.LedgerBusy, errors.LedgerUnavailable, errors.SchemaMismatch),
        run=status.status,
    ),
    OpenEndpoint(
        path="/metrics",
        name="metrics",
        summary="Counters and gauges for Prometheus",
        shape=METRICS_MEDIA_TYPE,
        run=status.metrics,
    ),
    OpenEndpoint(
        path="/problems/{code}",
        name="problem",
        summary="What a type of problem means",
        shape="text/html; charset=utf-8",
        refusals=(refusals.NotFound,),
        run=_problem,
    ),
)
