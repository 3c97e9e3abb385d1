"""Quotes: they say what a charge would cost, and how many units one more would refuse."""

import asyncio
from collections.abc import Callable
from itertools import count

import psycopg
from conftest import run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from live_api import CREDIT, LiveApi, live_api
from specification.pricing import Terms
from town import Town

from api.problems.shortfall import Helps
from ledger.api_key_terms import Cap
from ledger.ids import AccountRef
from ledger.outcomes import (
    Charged,
    Frozen,
    NoSuchAccount,
    Quote,
    QuoteOutcome,
    TooExpensive,
    UnknownModel,
    UnknownOperation,
)
from ledger.price_book import PriceRow, Tier
from ledger.quoting import quote
from ledger.reading import Reading

MOST = 1_000_000_000
_UNITS = """
select creditd.units_for(row(1, 1, %s::bigint, %s::bigint, 'unit', now(), '', %s::bigint[],
  %s::bigint[], 'infinity')::creditd.price, %s::bigint, %s::bigint)"""
PRICES = (
    PriceRow("flat", 5, 0, "unit"),
    PriceRow("free", 0, 0, "unit"),
    PriceRow("each", 2, 3, "unit"),
    PriceRow("tiers", 1, 4, "unit", tiers=(Tier(3, 1), Tier(9, 0), Tier(12, 7))),
    PriceRow("late", 0, 0, "unit", tiers=(Tier(6, 2),)),
    PriceRow("model", 0, 1, "unit", model="small"),
)
SMALL = st.integers(0, 6)


@st.composite
def tiered(draw: st.DrawFn) -> Terms:
    above = sorted(draw(st.sets(st.integers(1, 15), max_size=4)))
    return Terms(draw(SMALL), draw(SMALL), tuple((units, draw(SMALL)) for units in above))


def test_the_most_units_that_an_amount_pays_for_are_exact(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:

        @settings(deadline=None, max_examples=200)  # a busy machine is no finding
        @given(tiered(), st.integers(0, 90), st.integers(1, 40))
        @example(Terms(0, 0, ((5, 1),)), 0, 40)
        @example(Terms(3, 0), 2, 40)
        def exact(terms: Terms, amount: int, most: int) -> None:
            above, per_unit = [a for a, _ in terms.tiers], [p for _, p in terms.tiers]
            asked = (terms.base, terms.per_unit, above, per_unit, amount, most)
            found = owner.execute(_UNITS, asked).fetchone()
            counted = sum(terms.cost(units) <= amount for units in range(1, most + 1))
            is_flat = not any([terms.per_unit, *per_unit])
            assert found == (None if is_flat and terms.base <= amount else counted,)

        exact()


class Asker:
    def __init__(self, town: Town, reading: Reading) -> None:
        self.town = town
        self.reading = reading
        self._keys = count()

    async def quote(
        self, account: AccountRef, operation: str, units: int = 1, model: str | None = None
    ) -> QuoteOutcome:
        return await quote(
            self.reading,
            app_id=1,
            account=account,
            operation=operation,
            model=model,
            units=units,
            units_max=MOST,
        )

    async def charges(self, account: AccountRef, operation: str, units: int) -> bool:
        """Whether a charge goes through; one that does is given back."""
        key = f"k{next(self._keys)}"
        outcome = await self.town.charge(account, units, key, operation=operation)
        if isinstance(outcome, Charged) and outcome.charge.cost > 0:
            await self.town.give_back(outcome, outcome.charge.cost, f"{key} back")
        return isinstance(outcome, Charged)

    async def is_true(self, account: AccountRef) -> None:
        """Hold every quote for an account to what charges do."""
        for operation in ("flat", "free", "each", "tiers", "late"):
            found = await self.quote(account, operation)
            assert isinstance(found, Quote), found
            most = found.most_affordable_units
            assert await self.charges(account, operation, 1) == found.affordable
            if most is None:
                assert await self.charges(account, operation, MOST)
                continue
            if most > 0:
                assert await self.charges(account, operation, most)
            assert not await self.charges(account, operation, most + 1)
            of_most = await self.quote(account, operation, most + 1)
            assert isinstance(of_most, Quote)
            assert not of_most.affordable
            assert of_most.missing == of_most.cost - of_most.available + of_most.debt > 0


def play(database_url: str, story: Callable[[Asker], object]) -> None:
    async def main() -> None:
        async with Town.open(database_url) as town, Reading.open(database_url) as reading:
            await town.operating.apply_prices(PRICES)
            await story(Asker(town, reading))  # type: ignore[misc]

    asyncio.run(main())


def test_quotes_say_what_charges_do(database_url: str) -> None:
    async def story(asker: Asker) -> None:
        for amount in (0, 1, 5, 13, 14, 40):
            account = await asker.town.user(f"user {amount}")
            if amount:
                asker.town.grant(account, amount)
            await asker.is_true(account)

    play(database_url, story)


def test_quotes_know_which_grants_an_operation_may_spend(database_url: str) -> None:
    async def story(asker: Asker) -> None:
        account = await asker.town.user()
        asker.town.grant(account, 10)
        asker.town.grant(account, 20, operations=["each"], priority=1)
        asker.town.grant(account, 70, operations=["other"], priority=1)
        asker.town.grant(account, 500, effective_at="2100-01-01")
        assert await asker.charges(account, "each", 1)
        each, tiers = await asker.quote(account, "each"), await asker.quote(account, "tiers")
        assert isinstance(each, Quote)
        assert isinstance(tiers, Quote)
        assert (each.available, tiers.available) == (30, 10)
        await asker.is_true(account)

    play(database_url, story)


def test_quotes_of_members_keep_to_their_budgets(database_url: str) -> None:
    async def story(asker: Asker) -> None:
        town = asker.town
        pool = await town.organisation()
        member = await town.member(pool)
        await asker.is_true(member)
        town.grant(pool, 40)
        await asker.is_true(member)
        for budget, own in ((25, 0), (100, 0), (9, 14)):
            await town.sharing.set_budget(app_id=1, member=member, period="day", amount=budget)
            if own:
                town.grant(member, own)
            await asker.is_true(member)
        found = await asker.quote(member, "each")
        assert isinstance(found, Quote)
        assert found.available == 14
        await town.freeze(pool)
        assert await asker.quote(member, "each") == Frozen()

    play(database_url, story)


def test_quotes_are_refused_as_charges_are(database_url: str) -> None:
    async def story(asker: Asker) -> None:
        account = await asker.town.user()
        assert await asker.quote(account, "none") == UnknownOperation()
        assert await asker.quote(account, "model") == UnknownModel()
        assert await asker.quote(account, "each", 2**62) == TooExpensive()
        assert await asker.quote(account, "each", 0) == TooExpensive()
        assert await asker.quote(AccountRef(5, 5), "each") == NoSuchAccount()
        found = await asker.quote(account, "model", model="small")
        assert isinstance(found, Quote)
        assert (found.model, found.cost, found.most_affordable_units) == ("small", 1, 0)
        await asker.town.freeze(account)
        assert await asker.quote(account, "each") == Frozen()

    play(database_url, story)


def funded(api: LiveApi, amount: int) -> str:
    account = api.open_wallet(b"\x11" * 20)
    run(
        api.database_url,
        f"select creditd.grant_credits(root_id, account_id, 'promotional', {amount * CREDIT},"
        " gen_random_uuid(), gen_random_uuid(), '-infinity', 'infinity', 100::smallint, null,"
        " 'given', null, null, null) from creditd.wallet",
    )
    return account


def test_a_quote_over_http_takes_nothing_and_needs_no_key(api: LiveApi) -> None:
    account = funded(api, 20)
    asked = {"account": account, "operation": "report.render", "units": 8}
    for _ in range(2):
        response = api.request("POST", "/v1/quotes", json=asked)
        assert response.json() == {
            "account": account,
            "operation": "report.render",
            "model": None,
            "units": 8,
            "price_version": 1,
            "cost": "21",
            "available": "20",
            "affordable": False,
            "missing": "1",
            "most_affordable_units": 7,
        }
    assert api.get(f"/v1/accounts/{account}/balance").json()["available"] == "20"
    reader, capped = api.api_key(["balance:read"]), api.api_key(caps=[Cap("day", 10 * CREDIT)])
    assert api.request("POST", "/v1/quotes", json=asked, api_key=reader).status_code == 200
    within = api.request("POST", "/v1/quotes", json=asked, api_key=capped).json()
    assert (within["available"], within["most_affordable_units"]) == ("10", 2)
    unknown = api.request("POST", "/v1/quotes", json={**asked, "operation": "no.such"})
    assert unknown.json()["type"] == "/problems/unknown-operation"


def test_a_402_says_what_is_reserved_and_how_many_units_can_be_paid_for(api: LiveApi) -> None:
    account = funded(api, 20)
    held = {"account": account, "operation": "report.render", "expires_in": 60}
    assert api.post("/v1/reservations", held).status_code == 201
    for path, asked in (
        ("/v1/charges", {"units": 5}),
        ("/v1/reservations", {"units": 5, "expires_in": 60}),
    ):
        body = {"account": account, "operation": "report.render", **asked}
        refused = api.post(path, body)
        assert refused.status_code == 402
        said = refused.json()
        assert (said["reserved"], said["available"], said["most_affordable_units"]) == (
            *("7", "13"),
            4,
        )
        assert [remedy["kind"] for remedy in said["remedies"]] == ["earn"]
        assert "retry-after" not in refused.headers


def test_a_402_refers_to_the_operators_pages(database_url: str) -> None:
    helps = Helps("https://credits.example/earn", "https://credits.example/top-up")
    with live_api(database_url, helps=helps) as served:
        account = funded(served, 1)
        refused = served.post("/v1/charges", {"account": account, "operation": "report.render"})
        assert refused.status_code == 402
        assert [(each["kind"], each["url"]) for each in refused.json()["remedies"]] == [
            ("earn", "https://credits.example/earn"),
            ("top_up", "https://credits.example/top-up"),
        ]
