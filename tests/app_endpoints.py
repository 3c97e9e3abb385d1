"""Every endpoint that apps call with an API key, and a path of each."""

from typing import Any

from api.calling.calls import Endpoint
from api.endpoints import ENDPOINTS

FOR_APPS: tuple[Endpoint[Any, Any], ...] = tuple(
    endpoint for endpoint in ENDPOINTS if isinstance(endpoint, Endpoint)
)


def path_of(endpoint: Endpoint[Any, Any]) -> str:
    return endpoint.path.format(
        operation="ping",
        charge="chg_0000000000001_1",
        reservation="rsv_0000000000001_1",
        account="acct_0000000000001",
        address="0x" + "11" * 20,
        earning="ern_1",
        member="acct_00000000000010000000000002",
        period="day",
        consent="1",
        key="1",
    )
