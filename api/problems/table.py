"""The one table from what went wrong to what is answered: RFC 9457 problems.

Whoever meets a problem must learn from its `detail` what to do next. Programs go by `type`, which
is the path of a page that explains it and never changes.
"""

from collections.abc import Mapping
from typing import Final

from api.problems import (
    of_accounts,
    of_api_keys,
    of_charges,
    of_consents,
    of_identity,
    of_operating,
    of_requests,
    of_signing,
    of_the_process,
    refusals,
)
from api.problems.problem_type import ProblemType

TYPES: Final[tuple[ProblemType, ...]] = (
    *of_requests.TYPES,
    *of_identity.TYPES,
    *of_api_keys.TYPES,
    *of_signing.TYPES,
    *of_charges.TYPES,
    *of_accounts.TYPES,
    *of_consents.TYPES,
    *of_operating.TYPES,
    *of_the_process.TYPES,
)

BY_CAUSE: Final[Mapping[type, ProblemType]] = {row.cause: row for row in TYPES}
BY_CODE: Final[Mapping[str, ProblemType]] = {row.code: row for row in TYPES}


def problem_type(cause: refusals.Cause) -> ProblemType:
    """Return the table's row for a cause."""
    return BY_CAUSE[type(cause)]
