import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pricing.price_file import MISTAKES_SHOWN_MAX, PriceMistake, PricesError, parse_prices
from ledger.credits import MICRO_MAX, format_credits
from ledger.price_book import PriceRow, Tier


def mistakes_of(text: str) -> dict[str, str]:
    with pytest.raises(PricesError) as caught:
        parse_prices(text)
    return {mistake.place: mistake.message for mistake in caught.value.mistakes}


def test_prices_are_read_in_the_files_order() -> None:
    rows = parse_prices(
        """
        [operations."chat.completion"]
        per_unit = "0.002"
        unit = "token"
        [operations.render]
        base = "5"
        per_unit = "2"
        unit = "page"
        """
    )
    assert rows == [
        PriceRow("chat.completion", 0, 2_000, "token"),
        PriceRow("render", 5_000_000, 2_000_000, "page"),
    ]


def test_the_example_file_has_no_mistakes() -> None:
    example = Path(__file__).parent.parent / "prices.example.toml"
    assert len(parse_prices(example.read_text())) > 1


def test_an_operation_may_be_free_if_it_says_so() -> None:
    assert parse_prices('[operations.ping]\nbase = "0"') == [PriceRow("ping", 0, 0, "unit")]
    assert "give base or per_unit" in mistakes_of("[operations.ping]")["operations.ping"]


def test_all_mistakes_are_told_together_with_their_places() -> None:
    found = mistakes_of(
        """
        currency = "EUR"
        [operations."report render"]
        base = "1"
        [operations.a]
        base = 1
        per_units = "1"
        [operations.b]
        base = "-1"
        unit = ""
        [operations.c]
        base = "1e3"
        x = "12"
        """
    )
    assert set(found) == {
        "currency",
        'operations."report render"',
        "operations.a.base",
        "operations.a.per_units",
        "operations.b.base",
        "operations.b.unit",
        "operations.c.base",
        "operations.c.x",
    }
    assert "in quotes" in found["operations.a.base"]
    assert 'did you mean "per_unit"?' in found["operations.a.per_units"]
    assert "no sign" in found["operations.b.base"]


@pytest.mark.parametrize("text", ["", "operations = 3", "[operations]", "[[operations]]"])
def test_a_file_without_prices_says_how_to_write_one(text: str) -> None:
    assert '[operations."chat.completion"]' in mistakes_of(text)["operations"]


def test_an_operation_that_is_no_table_is_told_so() -> None:
    assert "is not a table" in mistakes_of('[operations]\nping = "1"')["operations.ping"]


@pytest.mark.parametrize(
    "text", ["[operations", "a = 1\na = 2", "x = " + "[" * 5_000, "x = " + "9" * 5_000]
)
def test_what_is_not_toml_is_one_mistake(text: str) -> None:
    assert list(mistakes_of(text)) == [""]


def test_a_long_list_of_mistakes_is_cut_and_counted() -> None:
    error = PricesError(tuple(PriceMistake(f"operations.o{i}", "is wrong") for i in range(60)))
    lines = str(error).splitlines()
    assert len(lines) == MISTAKES_SHOWN_MAX + 1
    assert lines[0] == "operations.o0: is wrong"
    assert lines[-1] == "and 10 more mistakes"


@given(st.integers(0, MICRO_MAX), st.integers(0, MICRO_MAX))
def test_every_price_the_books_can_hold_is_read_exactly(base: int, per_unit: int) -> None:
    text = (
        f'[operations.x]\nbase = "{format_credits(base)}"\nper_unit = "{format_credits(per_unit)}"'
    )
    assert parse_prices(text) == [PriceRow("x", base, per_unit, "unit")]


@given(st.text(max_size=200))
def test_no_text_makes_anything_but_prices_or_mistakes(text: str) -> None:
    with contextlib.suppress(PricesError):
        assert parse_prices(text)


def test_models_tiers_and_later_prices_are_read() -> None:
    rows = parse_prices(
        """
        [operations.chat]
        per_unit = "0.002"
        unit = "token"
        effective_at = 2029-01-01T00:00:00Z
        tiers = [{ above = 1_000, per_unit = "0.001" }, { above = 5_000, per_unit = "0" }]
        [operations.chat.models."vendor/large:1"]
        base = "1"
        [[operations.chat.later]]
        effective_at = 2030-01-01T00:00:00+01:00
        base = "2"
        [operations.draw.models.small]
        base = "3"
        """
    )
    begins = datetime(2029, 1, 1, tzinfo=UTC)
    later = datetime(2029, 12, 31, 23, tzinfo=UTC)
    tiers = (Tier(1_000, 1_000), Tier(5_000, 0))
    assert rows == [
        PriceRow("chat", 0, 2_000, "token", tiers=tiers, effective_at=begins),
        PriceRow("chat", 2_000_000, 0, "token", effective_at=later),
        PriceRow("chat", 1_000_000, 0, "unit", model="vendor/large:1"),
        PriceRow("draw", 3_000_000, 0, "unit", model="small"),
    ]


def test_all_mistakes_of_models_tiers_and_later_prices_are_told_at_once() -> None:
    found = mistakes_of(
        """
        [operations.a]
        base = "1"
        effective_at = 2030-01-01T00:00:00
        tiers = [
          { above = 5, per_unit = "1" },
          { above = 5, per_unit = "1" },
          { above = 9, per_units = "1" },
        ]
        [operations.a.models."no name"]
        base = "1"
        [operations.a.models.m]
        tiers = 3
        [operations.b]
        models = 3
        base = "1"
        later = [{ base = "1" }, { base = "1", effective_at = 2030-01-01 }, 7]
        [operations.c]
        base = "1"
        tiers = [{ above = 1_000_000_000, per_unit = 1 }]
        models = { m = { base = "1", models = {} } }
        [[operations.c.later]]
        base = "1"
        effective_at = 2030-01-01T00:00:00Z
        [[operations.c.later]]
        base = "2"
        effective_at = 2030-01-01T01:00:00+01:00
        """
    )
    assert set(found) == {
        "operations.a.effective_at",
        "operations.a.tiers[2].above",
        "operations.a.tiers[3]",
        "operations.a.tiers[3].per_units",
        'operations.a.models."no name"',
        "operations.a.models.m",
        "operations.a.models.m.tiers",
        "operations.b.models",
        "operations.b.later[1]",
        "operations.b.later[2].effective_at",
        "operations.b.later[3]",
        "operations.c",
        "operations.c.tiers[1].above",
        "operations.c.tiers[1].per_unit",
        "operations.c.models.m.models",
    }
    assert "zone" in found["operations.a.effective_at"]
    assert "same moment" in found["operations.c"]
