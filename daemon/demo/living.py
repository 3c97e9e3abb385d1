"""After the story: the earners go on, slowly, until somebody has seen enough."""

import asyncio
from itertools import count
from typing import Final, NoReturn

from daemon.demo.printing import Printer, shown
from daemon.demo.stage import Stage
from daemon.demo.terms import CONFIRMATIONS, TOKEN
from daemon.demo.town import Earned

BLOCK_SECONDS: Final = 2
BLOCKS_PER_EVENT: Final = 4


async def earn_on(stage: Stage, printer: Printer) -> NoReturn:
    """Let one after the other stake or mine, and print a line for every grant, until cancelled."""
    stage.checks.begin("earning on")
    waiting: list[Earned] = []
    for turn in count():
        await asyncio.sleep(BLOCK_SECONDS)
        if turn % BLOCKS_PER_EVENT == 0:
            waiting.append(await _earn(stage, turn // BLOCKS_PER_EVENT))
        else:
            await stage.town.add_block()
        number = await stage.town.head_number()
        await stage.follow(number)
        for earned in waiting:
            if number - earned.block_number >= CONFIRMATIONS:
                await _tell(stage, printer, earned)
        waiting = [each for each in waiting if number - each.block_number < CONFIRMATIONS]
        printer.tick(
            "".join(
                f"{each.earner.name} waits: {number - each.block_number} of {CONFIRMATIONS}   "
                for each in waiting
            )
            + f"block {number}   Ctrl-C ends it",
            everywhere=False,
        )
    raise AssertionError("count() does not end")


async def _earn(stage: Stage, turn: int) -> Earned:
    earner = stage.town.earners[turn % len(stage.town.earners)]
    if earner is stage.town.earners[-1]:
        return await stage.town.stake(earner, TOKEN)
    return await stage.town.mine(earner)


async def _tell(stage: Stage, printer: Printer, earned: Earned) -> None:
    earning = await stage.earning(earned)
    stage.checks.equal("state of a buried event", found=earning.state, expected="confirmed")
    balance = await stage.api.balance(stage.account(earned.earner))
    printer.step(
        earned.earner.name,
        "granted",
        f"+{shown(earning.credits)} credits for {earned}",
        balance.available,
    )
