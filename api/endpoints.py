"""Every endpoint there is: what it needs, takes, answers and refuses.

The routes, the checks before an endpoint runs and the OpenAPI document are all made of this table.
"""

from typing import Final

from api.accounts import consent_endpoints as of_consents
from api.accounts import endpoints as of_accounts
from api.accounts import sharing_endpoints as of_sharing
from api.calling.calls import AnyEndpoint
from api.identity import key_endpoints as of_keys
from api.identity import sign_in_endpoints as of_signing_in
from api.metering import endpoints as of_metering
from api.operating import endpoints as of_operating
from api.pricing import endpoints as of_pricing
from api.standing import endpoints as of_standing

# Paths with parts are tried in this order: a balance comes from memory, so trying costs it most.
# Charges have a path without parts, which is looked up.
ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    *of_accounts.ENDPOINTS,
    *of_metering.ENDPOINTS,
    *of_sharing.ENDPOINTS,
    *of_consents.ENDPOINTS,
    *of_keys.ENDPOINTS,
    *of_signing_in.ENDPOINTS,
    *of_pricing.ENDPOINTS,
    *of_standing.ENDPOINTS,
)

# Where an operator's port is configured, how the process and the chains are is told there alone.
PUBLIC_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = tuple(
    endpoint for endpoint in ENDPOINTS if endpoint.path not in {"/status", "/metrics"}
)

OPERATOR_ENDPOINTS: Final[tuple[AnyEndpoint, ...]] = (
    *of_operating.ENDPOINTS,
    *of_standing.ENDPOINTS,
)
