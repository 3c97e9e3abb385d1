"""Every example of the client's README, run in order against creditd itself."""

import asyncio
import re
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from creditd_client.asgi import App
from creditd_client.metering import refusals
from standin import served
from till import EARNED, NONE, PRICES, till

from api.pricing.price_file import parse_prices

README = Path(__file__).parents[1] / "client" / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
(PRICE_LIST,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
ADA = {"Authorization": "Bearer token-of-ada"}


async def run(snippet: str, names: dict[str, Any]) -> None:
    await asyncio.to_thread(exec, compile(snippet, README.name, "exec"), names)


async def ask(app: App, path: str, headers: dict[str, str] = ADA) -> httpx2.Response:
    async with served(app) as web, httpx2.AsyncClient(base_url=web.url) as http:
        return await http.get(path, headers=headers)


def test_its_prices_are_those_that_its_examples_are_run_with() -> None:
    shown = parse_prices(PRICE_LIST)
    assert {row.operation for row in shown} == {"tokens", "summary"}
    assert all(row in parse_prices(PRICES) for row in shown)


def test_the_codes_it_lists_are_those_that_the_middleware_makes() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", TEXT, flags=re.MULTILINE)
    made = (
        *(refusals.operation_was_charged("chg_1"), refusals.operation_was_refunded("chg_1")),
        *(refusals.operation_was_reserved("rsv_1"), refusals.operation_was_passed()),
        refusals.metering_unavailable(),
    )
    codes = [(str(each.problem["type"]).rpartition("/")[2], str(each.status)) for each in made]
    assert listed == codes


def test_the_examples_of_the_readme_do_what_it_says(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    charging, reserving, in_a_loop, metering, by_use, fastapi, passing, replaying = SNIPPETS
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with till(database_url) as t:
            monkeypatch.setenv("CREDITD_URL", t.line.url)
            monkeypatch.setenv("CREDITD_API_KEY", t.api_key)
            monkeypatch.setenv("ADAS_ACCOUNT", t.account)
            names: dict[str, Any] = {}
            await run(charging, names)
            assert names["account"] == t.account
            assert await t.has() == (EARNED, NONE)
            await run(reserving, names)
            assert await t.has() == (EARNED - Decimal("2.5"), NONE)
            await run(in_a_loop, names)
            assert await t.has() == (EARNED - 5, NONE)

            await run(metering, names)
            async with names["purse"]:
                answer = await ask(names["app"], "/summary")
                assert (answer.status_code, answer.headers["credits-cost"]) == (200, "2")
                assert (await ask(names["app"], "/elsewhere")).status_code == 404
                before = await t.has()
                assert (await ask(names["app"], "/summary", {})).status_code == 401
                assert await t.has() == before
                await run(by_use, names)
                answer = await ask(names["streaming"], "/chat")
                assert (answer.text, answer.headers["credits-balance"]) == ("earn and spend", "8")
                assert await t.has() == (EARNED - Decimal("8.5"), NONE)
                if find_spec("fastapi") is not None:
                    await run(fastapi, names)
                    assert (await ask(names["api"], "/chat")).json() == "earn and spend"
                    assert await t.has() == (EARNED - Decimal("10.5"), NONE)

                await run(passing, names)
                before = await t.has()
                t.line.down = True
                assert (await ask(names["generous"], "/summary")).status_code == 200
                t.line.down = False
                await run(replaying, names)
                assert await t.has() == (before[0] - 2, NONE)
            names["credits"].close()

    asyncio.run(main())
    assert "1 charged, 0 may still be running" in capsys.readouterr().out
