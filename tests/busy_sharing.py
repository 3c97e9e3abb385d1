"""The second half of a busy book: credits are reserved, lent, shared, moved and made up for."""

from datetime import timedelta

from busy_cast import CREDIT, Chain, Customer
from conftest import ASKED

from ledger.granting import Granting
from ledger.ids import MovementRef
from ledger.operating import Operating
from ledger.operator_acts import OperatorActs
from ledger.outcomes import (
    AccountOpened,
    Allocated,
    Granted,
    Linked,
    OverdraftSet,
    Released,
    Reserved,
    Settled,
)
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.spending import Spending

DAVE, ERIN, FRED, GINA = (bytes([n]) * 20 for n in (4, 5, 6, 7))
IRIS = bytes([10]) * 20


async def share(database_url: str, chain: Chain, spending: Spending, app_id: int) -> None:
    """Let everything happen that takes more than one account or more than one step."""
    dave, erin, fred, gina, iris = [
        Customer(
            spending,
            app_id,
            (await spending.open_wallet_account(app_id=app_id, chain_id=1, address=wallet)).account,
        )
        for wallet in (DAVE, ERIN, FRED, GINA, IRIS)
    ]
    async with Reserving.open(database_url) as reserving:
        await _reserve(chain, dave, reserving)
    async with OperatorActs.open(database_url) as acts:
        await _link(chain, erin, dave, acts)
    async with Operating.open(database_url) as operating:
        await _overdraw(chain, fred, operating)
    await _absorb(chain, gina)
    async with Sharing.open(database_url) as sharing:
        await _spend_together(database_url, chain, spending, app_id, sharing)
    async with Granting.open(database_url) as granting:
        await _cash_back(chain, iris, granting)


async def _reserve(chain: Chain, dave: Customer, reserving: Reserving) -> None:
    await chain.block(
        chain.event("plain", DAVE, 4 * CREDIT), chain.event("plain", DAVE, 9 * CREDIT)
    )

    async def reserved(key: str, units: int) -> MovementRef:
        outcome = await reserving.reserve(
            app_id=dave.app_id,
            account=dave.account,
            key=key,
            operation="draw",
            units=units,
            expires_in=timedelta(hours=1),
            over_max=CREDIT,
        )
        assert isinstance(outcome, Reserved), outcome
        return outcome.reservation.movement

    async def settle(reservation: MovementRef, amount: int) -> None:
        outcome = await reserving.settle(
            app_id=dave.app_id, reservation=reservation, key=f"settle {amount}", amount=amount
        )
        assert isinstance(outcome, Settled), outcome

    await settle(await reserved("in part", 8), 2 * CREDIT)
    await settle(await reserved("and over", 2), 2 * CREDIT + 5)
    by_units = await reserving.settle_units(
        app_id=dave.app_id, reservation=await reserved("by units", 4), key="units", units=2
    )
    assert isinstance(by_units, Settled), by_units
    given_up = await reserving.release(
        app_id=dave.app_id, reservation=await reserved("given up", 1), key="release"
    )
    assert isinstance(given_up, Released), given_up
    await reserved("stays open", 3)


async def _link(chain: Chain, erin: Customer, to: Customer, acts: OperatorActs) -> None:
    """A wallet in debt is linked: what it owes goes along."""
    before = await chain.block()
    await chain.block(chain.event("plain", ERIN, 5 * CREDIT))
    await erin.pay("draw", 4)
    await chain.leave(before, confirmed=True)
    owing = await acts.link(to.account, chain_id=1, address=ERIN, signed=ASKED)
    assert isinstance(owing, Linked), owing
    assert owing.debt > 0
    await chain.block(chain.event("plain", ERIN, 2 * CREDIT))
    await acts.unlink(to.account, chain_id=1, address=ERIN, signed=ASKED)
    await chain.block(chain.event("plain", ERIN, 3 * CREDIT))
    having = await acts.link(to.account, chain_id=1, address=ERIN, signed=ASKED)
    assert isinstance(having, Linked), having
    assert having.moved > 0


async def _overdraw(chain: Chain, fred: Customer, operating: Operating) -> None:
    assert isinstance(await operating.set_overdraft(fred.account, 5 * CREDIT), OverdraftSet)
    await fred.pay("draw", 4)
    await chain.block(chain.event("plain", FRED, 4 * CREDIT))
    await operating.set_overdraft(fred.account, 2 * CREDIT)


async def _absorb(chain: Chain, gina: Customer) -> None:
    """The operator bears what was spent of an orphaned grant, until its block is back."""
    before = await chain.block()
    earned = chain.event("absorbed", GINA, 6 * CREDIT)
    await chain.block(earned)
    await gina.pay("draw", 4)
    await chain.leave(before, confirmed=True)
    await chain.block(earned)


async def _spend_together(
    database_url: str, chain: Chain, spending: Spending, app_id: int, sharing: Sharing
) -> None:
    pool = await sharing.open_organisation(app_id=app_id, name="club")
    assert isinstance(pool, AccountOpened), pool
    member = await sharing.add_member(app_id=app_id, organisation=pool.account, name="hugo")
    assert isinstance(member, AccountOpened), member
    async with OperatorActs.open(database_url) as acts:
        linked = await acts.link(pool.account, chain_id=1, address=bytes([8]) * 20, signed=ASKED)
        assert isinstance(linked, Linked), linked
    await chain.block(chain.event("plain", bytes([8]) * 20, 20 * CREDIT))
    await sharing.set_budget(
        app_id=app_id, member=member.account, period="month", amount=10 * CREDIT, levels=[50]
    )
    moved = await sharing.allocate(
        app_id=app_id, member=member.account, key="a start", amount=3 * CREDIT
    )
    assert isinstance(moved, Allocated), moved
    hugo = Customer(spending, app_id, member.account)
    await hugo.pay("draw", 2)  # of his own
    await hugo.is_given_back(await hugo.pay("draw", 8), CREDIT)  # of the pool


async def _cash_back(chain: Chain, iris: Customer, granting: Granting) -> None:
    """Two charges cause grants; of one so much is given back that its grant is backed no more."""
    await chain.block(chain.event("plain", IRIS, 12 * CREDIT))
    for given_back in (CREDIT, 4 * CREDIT):
        charge = await iris.pay("draw", 8)  # 5 credits
        outcome = await granting.grant(
            account=iris.account,
            source="promotional",
            amount=CREDIT,
            key=f"cashback {given_back}",
            cause=charge,
        )
        assert isinstance(outcome, Granted), outcome
        await iris.is_given_back(charge, given_back)
