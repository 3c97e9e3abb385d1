"""A small set of books in which everything has happened that the books know of."""

from dataclasses import dataclass, replace

from busy_cast import CREDIT, Chain, Customer, entry_of, follow
from busy_sharing import share
from conftest import fake_hash

from ledger.ids import AccountRef
from ledger.operating import Operating
from ledger.price_book import PriceRow
from ledger.spending import Spending
from ledger.watching import ADDS, TAKES, Watching

ALICE, BOB, CAROL = (bytes([n]) * 20 for n in (1, 2, 3))
STAKERS = tuple(bytes([n]) * 20 for n in (0xE1, 0xE2))


@dataclass(frozen=True)
class BusyBook:
    """Whose accounts the book has."""

    app_id: int
    alice: AccountRef
    bob: AccountRef
    carol: AccountRef


async def fill(database_url: str) -> BusyBook:
    """Let everything happen once."""
    app_id = await _open_shop(database_url)
    async with (
        Watching.lead(database_url, entry_of(1), "test") as watching_one,
        Watching.lead(database_url, entry_of(2), "test") as watching_two,
        Spending.open(database_url, lanes=1) as spending,
    ):
        one = await follow(watching_one, 1)
        two = await follow(watching_two, 2)
        alice, bob, carol = [
            Customer(
                spending,
                app_id,
                (
                    await spending.open_wallet_account(app_id=app_id, chain_id=1, address=wallet)
                ).account,
            )
            for wallet in (ALICE, BOB, CAROL)
        ]
        await spending.open_account(app_id=app_id, name="somebody without credits")
        await _spend_and_refund(one, alice)
        await _lose_a_grant(one, alice)
        await _meet_caps(one, bob)
        await _expire(one, two, carol)
        await share(database_url, one, spending, app_id)
        await _hold_stakes(two)
        await _let_one_wait(two)
        await _leave_something_pending(one, two)
        await watching_one.expire_idle(100)
    return BusyBook(app_id, alice.account, bob.account, carol.account)


async def _open_shop(database_url: str) -> int:
    async with Operating.open(database_url) as operating:
        await operating.create_app_key(
            app="shop", scopes=["charge:write"], digest=fake_hash("key"), hint="cd_…x"
        )
        await operating.apply_prices(
            [
                PriceRow("draw", CREDIT, CREDIT // 2, "picture"),
                PriceRow("look", 0, 0, "picture"),
            ]
        )
    return 1


async def _spend_and_refund(chain: Chain, alice: Customer) -> None:
    await chain.block(
        chain.event("plain", ALICE, 3 * CREDIT), chain.event("plain", ALICE, 3 * CREDIT)
    )
    await chain.block(chain.event("plain", ALICE, 4 * CREDIT + 7))
    await alice.pay("look")
    crossing = await alice.pay("draw", 8)  # 5 credits: two lots
    await alice.is_given_back(crossing, CREDIT // 3)
    await alice.is_given_back(crossing, 2 * CREDIT)  # over both legs
    await alice.is_given_back(await alice.pay("draw"))
    await alice.is_refused("draw", 1_000)


async def _lose_a_grant(chain: Chain, alice: Customer) -> None:
    """A grant is spent, orphaned, comes back as another incarnation, and pays the debt."""
    before = chain.number, chain.hash
    first, second = (chain.event("plain", ALICE, 6 * CREDIT) for _ in range(2))
    await chain.block(first)
    await chain.block(second)
    crossing = await alice.pay("draw", 20)  # 11 credits: into the first of the two
    await chain.leave(before, confirmed=True)
    await alice.is_given_back(crossing, CREDIT)  # pays debt
    await chain.block()
    await chain.block(first)  # repays the rest
    await alice.is_given_back(crossing, CREDIT)  # nothing is owed: a lot of its own
    await alice.pay("draw")


async def _meet_caps(chain: Chain, bob: Customer) -> None:
    await chain.block(
        chain.event("capped", BOB, 8 * CREDIT), chain.event("capped", BOB, 8 * CREDIT)
    )
    await chain.block(chain.event("capped", BOB, 5 * CREDIT))  # nothing is left of the day
    await chain.block(chain.event("capped", BOB, 9 * CREDIT), days=1)
    await bob.pay("draw", 24)


async def _expire(one: Chain, two: Chain, carol: Customer) -> None:
    await one.block(one.event("ending", CAROL, 2 * CREDIT), one.event("plain", CAROL, CREDIT))
    await one.block(one.event("gone", CAROL, 5 * CREDIT))
    await carol.pay("draw", 2)  # posts the expiry first
    await two.block(two.event("gone", CAROL, 5 * CREDIT), two.event("plain", ALICE, CREDIT))
    await two.block(two.event("ending", BOB, CREDIT))


async def _hold_stakes(chain: Chain) -> None:
    """Two stake, one of them takes some out, and two days end."""
    adds = [replace(chain.event("held", wallet, 0), role=ADDS, amount=10**18) for wallet in STAKERS]
    await chain.block(*adds)
    taken = replace(adds[1], role=TAKES, amount=10**17, tx_hash=fake_hash("out"))
    await chain.block(taken)
    for days in (1, 2):
        await chain.block(confirm=False, days=days)
        await chain.confirm()


async def _let_one_wait(chain: Chain) -> None:
    """What one event earns waits, though its block is confirmed."""
    await chain.block(replace(chain.event("plain", BOB, 9 * CREDIT), blocks_more=100))


async def _leave_something_pending(one: Chain, two: Chain) -> None:
    for chain in (one, two):
        stays = await chain.block(chain.event("plain", BOB, CREDIT), confirm=False)
        await chain.block(chain.event("plain", ALICE, CREDIT), confirm=False)
        await chain.leave(stays, confirmed=False)
        await chain.block(chain.event("plain", CAROL, CREDIT), confirm=False)
        await chain.block(confirm=False)
