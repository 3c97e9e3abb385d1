"""Every example of the client's README, run in order against creditd itself."""

import asyncio
import re
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from creditd_client.asgi import App, Receive, Scope, Send
from standin import served
from till import EARNED, NONE, Till, till

README = Path(__file__).parents[1] / "client" / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


async def run(snippet: str, names: dict[str, Any]) -> None:
    await asyncio.to_thread(exec, compile(snippet, README.name, "exec"), names)


def of(account: str, app: App) -> App:
    """An app whose callers are all of one account."""

    async def authenticated(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {"account": account}}, receive, send)

    return authenticated


async def ask(t: Till, app: App, path: str) -> httpx2.Response:
    async with served(of(t.account, app)) as web, httpx2.AsyncClient(base_url=web.url) as http:
        return await http.get(path)


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
                answer = await ask(t, names["app"], "/summary")
                assert (answer.status_code, answer.headers["credits-cost"]) == (200, "2")
                assert (await ask(t, names["app"], "/elsewhere")).status_code == 404
                await run(by_use, names)
                answer = await ask(t, names["streaming"], "/chat")
                assert (answer.text, answer.headers["credits-balance"]) == ("earn and spend", "8")
                assert await t.has() == (EARNED - Decimal("8.5"), NONE)
                if find_spec("fastapi") is not None:
                    await run(fastapi, names)
                    assert (await ask(t, names["api"], "/chat")).json() == "earn and spend"
                    assert await t.has() == (EARNED - Decimal("10.5"), NONE)

                await run(passing, names)
                before = await t.has()
                t.line.down = True
                assert (await ask(t, names["generous"], "/summary")).status_code == 200
                t.line.down = False
                await run(replaying, names)
                assert await t.has() == (before[0] - 2, NONE)
            names["credits"].close()

    asyncio.run(main())
    assert "1 charged, 0 may still be running" in capsys.readouterr().out
