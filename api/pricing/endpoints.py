"""The endpoints of operations and their prices."""

from typing import Final

from api.calling.calls import AnyEndpoint, Endpoint
from api.pricing import operations, wire
from api.problems import refusals
from api.shapes import NoBody

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="GET",
        path="/v1/operations",
        name="list-operations",
        summary="The operations, their prices in force and those to come",
        scopes=(),
        body=NoBody,
        query=wire.OperationsQuery,
        answers={200: wire.OperationPage},
        run=operations.list_operations,
    ),
    Endpoint(
        method="GET",
        path="/v1/operations/{operation}",
        name="get-operation",
        summary="An operation, its prices in force and those to come",
        scopes=(),
        body=NoBody,
        query=wire.OperationQuery,
        answers={200: wire.Operation},
        refusals=(refusals.NotPriced,),
        run=operations.look_up,
    ),
)
