"""POST /v1/charges over HTTP against the least an HTTP answer costs on the same server."""

import argparse
import asyncio
import json
import os
import random
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
from filled_books import fill
from measuring import Sample, compare, postgres, write

from api.identity.keys import new_api_key
from daemon.processes.children import child
from ledger.audit import audit
from ledger.ids import AccountRef, format_account
from ledger.migrate import migrate
from ledger.operating import Operating

CONNECTIONS: Final = 32
HEALTHZ: Final = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
CONFIG: Final = """
[api]
port = {port}

[[chains]]
name = "nowhere"
chain_id = 1
rpc_url = "http://127.0.0.1:1"
confirmation = "finalized"

[[chains.sources]]
name = "nothing"
contract = "0x0000000000000000000000000000000000000001"
event = "staking-rewards.Staked"
from_block = 0
rule = {{ credits = "1", per = "1", decimals = 18 }}
"""


def main() -> None:
    """Measure and write bench/results/api.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with postgres() as url, tempfile.TemporaryDirectory(prefix="creditd-bench-") as name:
        folder = Path(name)
        migrate(url)
        accounts = fill(url)
        api_key = asyncio.run(enter_key(url))
        rows = [
            compare(
                work=f"POST /v1/charges, {CONNECTIONS} connections, {which}",
                unit="requests/s",
                rounds=options.rounds,
                ours=lambda some=some: asyncio.run(  # type: ignore[misc]  # bound in this turn
                    serve_and_load(url, folder, charges(some, api_key), options.seconds)
                ),
                reference=lambda: asyncio.run(
                    serve_and_load(url, folder, [HEALTHZ], options.seconds)
                ),
                reference_is="GET /healthz",
            )
            for which, some in (("10,000 random accounts", accounts), ("one account", accounts[:1]))
        ]
        if not asyncio.run(audit(url)).balanced:
            raise SystemExit("the books do not balance after the run")
    write("api", rows)


async def enter_key(url: str) -> str:
    """Give the app that opened the accounts an API key."""
    key = new_api_key()
    async with Operating.open(url) as operating:
        await operating.create_app_key(
            app="bench", scopes=["charge:write"], digest=key.digest, hint=key.hint
        )
    return key.text


def charges(accounts: Sequence[AccountRef], api_key: str) -> list[bytes]:
    """Return requests with a place for the key, shuffled."""
    requests = []
    for account in random.sample(list(accounts), len(accounts)):
        body = json.dumps({"account": format_account(account), "operation": "call"}).encode()
        requests.append(
            b"POST /v1/charges HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer " + api_key.encode() + b"\r\nIdempotency-Key: %s\r\n"
            b"Content-Length: %d\r\n\r\n" % (b"%s", len(body)) + body
        )
    return requests


async def serve_and_load(
    url: str, folder: Path, requests: Sequence[bytes], seconds: float
) -> Sample:
    """Start `creditd serve` and ask it from CONNECTIONS connections; CPU is the server's alone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    config = folder / "creditd.toml"
    config.write_text(CONFIG.format(port=port), encoding="utf-8")
    async with child(
        ["--config", str(config), "serve"], {**os.environ, "DATABASE_URL": url}
    ) as server:
        await listening(port)
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        began = time.perf_counter()
        asked = sum(
            await asyncio.gather(
                *[ask(port, requests, began + seconds, n) for n in range(CONNECTIONS)]
            )
        )
        elapsed = time.perf_counter() - began
        after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return Sample(asked / elapsed, cpu * 1e6 / asked)


async def listening(port: int) -> None:
    """Wait until the port answers, ten seconds at most."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def ask(port: int, requests: Sequence[bytes], until: float, first: int) -> int:
    """Ask one request after the other over one connection; each must succeed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = 0
    while time.perf_counter() < until:
        request = requests[(first * 7919 + asked) % len(requests)]
        if b"%s" in request:
            request = request.replace(b"%s", os.urandom(12).hex().encode())
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        body = await reader.readexactly(length)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise SystemExit(f"a request failed: {head!r} {body!r}")
        asked += 1
    writer.close()
    await writer.wait_closed()
    return asked


if __name__ == "__main__":
    main()
