"""Whether the time of a refusal tells how near a guessed API key is to a good one.

Guesses that share nothing, half and nearly all of a good API key are sent in turn, in a random
order: their times must be alike, as only digests are ever looked up. Figures are those of one run.
"""

import argparse
import asyncio
import http.client
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from filled_books import fill
from measuring import fresh_database, postgres
from placing import serving
from serving import CONFIG, enter_key, free_ports

from api.identity.keys import CHECK_LENGTH, PREFIX_LENGTH, RANDOM_LENGTH, new_api_key, with_check

UNAUTHORIZED: Final = 401


def guess(good: str, shared: int) -> str:
    """Return an API key that shares so many random letters with a good one, and is none itself."""
    other = new_api_key().text[PREFIX_LENGTH:-CHECK_LENGTH]
    letters = good[PREFIX_LENGTH:-CHECK_LENGTH][:shared] + other[shared:]
    return good[:PREFIX_LENGTH] + with_check(letters)


def refusal_us(connection: http.client.HTTPConnection, api_key: str) -> float:
    """Return the µs that an API key's refusal takes."""
    began = time.perf_counter()
    connection.request("GET", "/v1/operations", headers={"Authorization": f"Bearer {api_key}"})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    if answer.status != UNAUTHORIZED:
        raise SystemExit(f"a guessed API key was answered {answer.status}")
    return took * 1e6


def measured(url: str, rounds: int) -> Mapping[str, list[float]]:
    """Return the sorted times of each kind of guess."""
    good = asyncio.run(enter_key(url))
    kinds: dict[str, Callable[[], str]] = {
        "shares nothing": lambda: guess(good, 0),
        "shares half": lambda: guess(good, RANDOM_LENGTH // 2),
        "shares all but six letters": lambda: guess(good, RANDOM_LENGTH - 6),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="creditd-bench-") as folder:
        config = Path(folder) / "creditd.toml"
        config.write_text(CONFIG.format(port=port), encoding="utf-8")
        command = ["-m", "daemon", "--config", str(config), "serve"]
        with serving("ours", command, port, {"DATABASE_URL": url}):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for _ in range(rounds):
                for kind in random.sample(list(kinds), len(kinds)):
                    times[kind].append(refusal_us(connection, kinds[kind]()))
    return {kind: sorted(each) for kind, each in times.items()}


def main() -> None:
    """Print the quartiles of each kind of guess."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3_000, help="guesses of each kind (3,000)")
    options = parser.parse_args()
    with postgres() as url:
        books = fresh_database(url, "books")
        fill(books, 10)
        for kind, times in measured(books, options.rounds).items():
            low, middle, high = statistics.quantiles(times, n=4)
            print(f"{kind:<27} median {middle:7.1f} µs, half of all {low:7.1f} to {high:7.1f}")


if __name__ == "__main__":
    main()
