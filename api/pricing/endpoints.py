"""The endpoints of operations and their prices."""

from typing import Final

from api.calling.calls import AnyEndpoint, Endpoint
from api.pricing import operations, wire
from api.shapes import NoBody, NoQuery

ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="GET",
        path="/v1/operations",
        name="list-operations",
        summary="The operations and their prices in force",
        scopes=(),
        body=NoBody,
        query=NoQuery,
        answers={200: wire.OperationList},
        run=operations.list_operations,
    ),
)
