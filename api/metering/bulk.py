"""Charges in bulk: many in one call, each decided by itself and answered in its place.

They go to the books together. A refusal of one, or its failure, says nothing about the others.
"""

import asyncio
import time
from typing import Final, NamedTuple, cast

from msgspec import Raw
from msgspec.json import Decoder

from api.calling.asked import account_named
from api.calling.calls import Answer, Call, Parts
from api.calling.decoding import decode_body
from api.metering import wire
from api.metering.charges import charge_shown
from api.metering.priced import Unpaid, why_not
from api.problems.causes import cause_of
from api.problems.refusals import Cause, Refused
from api.problems.table import problem_type
from api.shapes import NoQuery
from ledger import outcomes
from ledger.ids import AccountRef
from ledger.spending import ChargeAsked

_ITEM: Final = Decoder(wire.BulkCharge)

BulkCall = Call[wire.BulkChargeRequest, NoQuery]


class _Item(NamedTuple):
    """A charge that was asked for, and what became of it."""

    asked: wire.BulkCharge
    account: AccountRef
    outcome: outcomes.ChargeOutcome | BaseException


async def charge_in_bulk(parts: Parts, call: BulkCall) -> Answer:
    """Take the price of each item from its account, once per key; answer item by item."""
    read = [_read(call, raw) for raw in call.body.charges]
    decided = iter(await _decided(parts, call, [each for each in read if isinstance(each, tuple)]))
    items = [each if isinstance(each, Refused) else next(decided) for each in read]
    # One after the other: what a refusal looks up must not crowd out others' reads.
    shown = [_shown(item) or await _problem(parts, call, item) for item in items]
    return Answer(200, wire.BulkCharges(shown))


def _read(call: BulkCall, raw: Raw) -> tuple[wire.BulkCharge, AccountRef] | Refused:
    """Return what an item asks for, and of whom, or why it cannot."""
    try:
        asked = decode_body(_ITEM, raw)
        account = account_named(asked.account)
        call.caller.require_account(account, outcomes.NoSuchAccount())
        call.caller.require_operation(asked.operation)
    except Refused as refused:
        return refused
    return asked, account


async def _decided(
    parts: Parts, call: BulkCall, read: list[tuple[wire.BulkCharge, AccountRef]]
) -> list[_Item]:
    began = time.perf_counter()
    found = await asyncio.gather(
        *parts.spending.charge_together(
            [
                ChargeAsked(
                    account=account,
                    key=asked.key,
                    operation=asked.operation,
                    model=asked.model,
                    units=asked.units,
                    price_version=asked.price_version,
                )
                for asked, account in read
            ],
            app_id=call.caller.app_id,
            api_key_id=call.caller.api_key_id,
        ),
        return_exceptions=True,
    )
    seconds = time.perf_counter() - began
    items = [_Item(*each, outcome) for each, outcome in zip(read, found, strict=True)]
    for item in items:
        if not isinstance(item.outcome, BaseException):
            parts.metrics.charge_decided(item.asked.operation, item.outcome, seconds)
    return items


def _shown(item: _Item | Refused) -> wire.BulkItem | None:
    """Return the charge that was made, None if there is none."""
    if isinstance(item, _Item) and isinstance(item.outcome, outcomes.Charged):
        return wire.BulkItem(
            charge=charge_shown(item.outcome.charge), replayed=item.outcome.replayed
        )
    return None


async def _problem(parts: Parts, call: BulkCall, item: _Item | Refused) -> wire.BulkItem:
    """Return what a single charge would have been answered."""
    cause = item.cause if isinstance(item, Refused) else await _why_not(parts, call, item)
    body, _ = problem_type(cause).render(cause, call.request_id)
    return wire.BulkItem(problem=Raw(body))


async def _why_not(parts: Parts, call: BulkCall, item: _Item) -> Cause:
    if isinstance(item.outcome, BaseException):
        return cause_of(item.outcome, call.request_id)
    try:
        outcome = cast("Unpaid", item.outcome)
        return await why_not(parts, call.caller, item.account, item.asked, outcome)
    except Exception as error:  # noqa: BLE001 - one that fails must not take the others along
        return cause_of(error, call.request_id)
