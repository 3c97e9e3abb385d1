"""The endpoints for those who run the process, and the pages of problems."""

from collections.abc import Mapping
from typing import Final

from api.calling.calls import AnyEndpoint, Document, OpenEndpoint, Process
from api.metrics import MEDIA_TYPE as METRICS_MEDIA_TYPE
from api.problems import pages, refusals
from api.problems.table import BY_CODE, TYPES
from api.standing import status, wire
from ledger import errors

_HTML: Final = "text/html; charset=utf-8"


async def _problems(_parts: Process, _path: Mapping[str, str]) -> Document:
    return Document(_HTML, pages.list_page(TYPES).encode())


async def _problem(_parts: Process, path: Mapping[str, str]) -> Document:
    row = BY_CODE.get(path["code"])
    if row is None:
        raise refusals.Refused(refusals.NotFound())
    return Document(_HTML, pages.problem_page(row).encode())


ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
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
        refusals=(
            errors.LedgerBusy,
            errors.LedgerUnavailable,
            errors.SchemaMismatch,
            refusals.Draining,
        ),
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
        path=pages.LIST_PATH,
        name="problems",
        summary="Every type of problem there is",
        shape=_HTML,
        run=_problems,
    ),
    OpenEndpoint(
        path="/problems/{code}",
        name="problem",
        summary="What a type of problem means, what to do, and what its document holds",
        shape=_HTML,
        refusals=(refusals.NotFound,),
        run=_problem,
    ),
)
