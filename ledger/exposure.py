"""Exposure: what would come of it if a chain left a block and all above it."""

from dataclasses import dataclass, fields
from typing import Final

from ledger.connecting import Role
from ledger.ids import AccountRef
from ledger.session import opened

_EXPOSURE: Final = (
    "select x.* from creditd.chain c cross join lateral creditd.exposure(c.chain_id, %s) x"
    " where c.name = %s"
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a reorg would do, in micro-credits.

    `taken_back` is what is left of the grants; of what was spent `owed` becomes a debt and
    `absorbed` is borne by the operator; `reserved` is decided when the reservations end.
    """

    taken_back: int = 0
    owed: int = 0
    absorbed: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class ExposureReport:
    """The exposure account by account, of those that have any, and of all together."""

    accounts: dict[AccountRef, Exposure]
    total: Exposure


async def exposure(
    database_url: str, chain: str, block: int, *, role: Role = "creditd_operator"
) -> ExposureReport | None:
    """Return the exposure to a chain leaving `block` and all above; None for an unknown chain.

    Raises SchemaMismatch, LedgerUnavailable.
    """
    async with opened(database_url, role) as session:
        known = await session.rows("select from creditd.chain where name = %s", (chain,))
        if not known:
            return None
        rows = await session.rows(_EXPOSURE, (block, chain))
    accounts = {AccountRef(root, account): Exposure(*rest) for root, account, *rest in rows}
    sums = (
        sum(getattr(each, field.name) for each in accounts.values()) for field in fields(Exposure)
    )
    return ExposureReport(accounts, Exposure(*sums))
