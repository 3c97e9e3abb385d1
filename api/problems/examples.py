"""An example of each cause, by which its page shows what a problem says."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from api.problems import refusals
from api.problems.problem_type import ProblemType
from api.problems.shortfall import Shortfall
from ledger import api_keys, outcomes
from ledger.ids import AccountRef, MovementRef, format_account, format_movement

_CREDIT: Final = 1_000_000
_ACCOUNT: Final = AccountRef(7, 7)
_CHARGE: Final = MovementRef(_ACCOUNT, 12)
_NOON: Final = datetime(2040, 3, 6, 12, tzinfo=UTC)
_OPERATION: Final = "chat.completion"

_CAUSES: Final[tuple[refusals.Cause, ...]] = (
    refusals.Invalid("units", "must be 1 or more"),
    refusals.Malformed("it ends within a string"),
    refusals.KeyMalformed("is longer than 255 characters"),
    refusals.MethodNotAllowed(("GET", "HEAD")),
    refusals.TooManyStreams(128),
    refusals.Unauthenticated("This API key has expired"),
    refusals.ScopeMissing("charge:write"),
    refusals.QuotaExceeded(requests=100, seconds=10, retry_after=3),
    refusals.OperationNotAllowed(_OPERATION),
    api_keys.ApiKeyReplaced(8),
    api_keys.TooManyApiKeys(100),
    refusals.OriginRefused("https://credits.example"),
    refusals.ChainUnserved(5),
    refusals.ChainUnreachable(1),
    refusals.SignatureRefused(f"0x{'11' * 20}", 1),
    Shortfall(
        format_account(_ACCOUNT),
        _OPERATION,
        812,
        outcomes.Insufficient(
            required=8_120_000, available=5 * _CREDIT, debt=500_000, price_version=3
        ),
        pending=2 * _CREDIT,
    ),
    outcomes.OverBudget(required=8_120_000, left=5 * _CREDIT, price_version=3),
    outcomes.OverKeyCap(8_120_000, 5 * _CREDIT, 3, _NOON),
    outcomes.NotCoveredBeyond(extra=3 * _CREDIT, available=2 * _CREDIT, debt=0),
    outcomes.PriceChanged(in_force=4),
    outcomes.AlreadyEnded(
        outcomes.Ending(
            reservation=MovementRef(_ACCOUNT, 11),
            movement=_CHARGE,
            how="settled",
            taken=4_500_000,
            available=20 * _CREDIT,
            held=0,
            at=_NOON,
            units=450,
        )
    ),
    refusals.AuthorizationReplayed(format_movement("chg", _CHARGE)),
    refusals.NotPriced("chat.compeltion", (_OPERATION, "report.render")),
    refusals.ModelNotPriced(_OPERATION, "huge", ("large", "small")),
    outcomes.MoreThanTaken(refundable=1_500_000),
    outcomes.OverBound(most=13 * _CREDIT),
    outcomes.DurationRefused(timedelta(days=30)),
    outcomes.NotCovered(required=20 * _CREDIT, available=7 * _CREDIT),
    refusals.VersionAhead(asked=12, reached=11),
    outcomes.NoSuchSource("vault-stakes"),
    refusals.ReplayNotCarriedOut("vault-stakes is no source of the configuration"),
    refusals.ReplayCutShort("no node proves block 21000000: it does not answer", 3),
)
_BY_TYPE: Final[Mapping[type, refusals.Cause]] = MappingProxyType(
    {type(cause): cause for cause in _CAUSES}
)


def example_of(row: ProblemType) -> refusals.Cause:
    """Return an example of a problem's cause. Those that say nothing but themselves need none."""
    known = _BY_TYPE.get(row.cause)
    if known is not None:
        return known
    cause: refusals.Cause = row.cause()
    return cause
