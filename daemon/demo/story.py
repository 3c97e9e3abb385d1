"""What is told, step by step: done on the chain or at the app, then looked up at the API."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Final

from creditd_client import new_key

from daemon.demo.doors import Entry, Problem, Reply
from daemon.demo.printing import Printer, short, shown
from daemon.demo.stage import Stage
from daemon.demo.terms import (
    CONFIRMATIONS,
    PRICES,
    REPORT,
    THUMBNAIL,
    TOKEN,
    expected_credits,
)
from daemon.demo.town import MINED_TOKENS, Earned, Earner

REPORTS_MAX: Final = 10  # what the first stake pays for is fewer


class Story:
    """The steps. `has` is what each earner should have by now, reckoned from the steps alone."""

    def __init__(self, stage: Stage, printer: Printer, *, block_seconds: float) -> None:
        self.has = dict.fromkeys(stage.customers, Decimal(0))
        self._stage = stage
        self._checks = stage.checks
        self._printer = printer
        self._block_seconds = block_seconds

    async def tell(self) -> None:
        """Earn, wait, pay, be refunded, run short, earn again and pay. Raises StepFailed."""
        ada, ben, cleo = self._stage.town.earners
        self._printer.heading(f"Three people earn. A grant takes {CONFIRMATIONS} blocks on top.")
        earned = [await self._stake(ada, 2 * TOKEN), await self._mine(ben)]
        earned.append(await self._stake(cleo, 3 * TOKEN // 2))
        await self._confirm(earned)
        self._printer.heading("What they earned pays for requests to an app.")
        for earner in (ada, ben, cleo):
            await self._pay(earner, THUMBNAIL)
        self._printer.heading("What fails is given back.")
        await self._fail(ada)
        self._printer.heading("Who has too little is told what is missing.")
        await self._run_short(ada)

    async def _stake(self, earner: Earner, amount: int) -> Earned:
        """Let somebody stake, and see it become pending."""
        self._checks.begin(f"{earner.name} stakes")
        town = self._stage.town
        before = await town.staked(earner)
        earned = await town.stake(earner, amount)
        self._checks.equal(
            "what StakingRewards holds", found=await town.staked(earner), expected=before + amount
        )
        where = f"in block {earned.block_number}, transaction {short(earned.tx_hash)}"
        self._printer.step(earner.name, "stakes", f"{earned.tokens} {where}")
        await self._see(earned)
        return earned

    async def _mine(self, earner: Earner) -> Earned:
        """Let somebody mine, and see it become pending."""
        self._checks.begin(f"{earner.name} mines")
        town = self._stage.town
        before = await town.mined(earner)
        earned = await town.mine(earner)
        self._checks.equal(
            "mined tokens held",
            found=await town.mined(earner),
            expected=before + MINED_TOKENS * TOKEN,
        )
        where = f"in block {earned.block_number}, solved by nonce {earned.nonce:,}"
        self._printer.step(earner.name, "mines", f"{earned.tokens} {where}")
        await self._see(earned)
        return earned

    async def _granted(self, earned: Earned) -> None:
        """Check that an event which is confirmed was granted, by the books of its earner."""
        earner = earned.earner
        self._checks.begin(f"granting {earner.name}")
        self.has[earner.name] += expected_credits(earned.source, earned.amount)
        newest, *_ = await self._entries(earner)
        self._checks.equal("the newest entry", found=newest.kind, expected="grant")
        self._checks.equal(
            "the grant's credits",
            found=newest.amount,
            expected=expected_credits(earned.source, earned.amount),
        )
        self._checks.equal(
            "the grant's event",
            found=None if newest.grant is None else (newest.grant.tx_hash, newest.grant.ordinal),
            expected=(earned.tx_hash, earned.ordinal),
        )
        balance = await self._balance(earner)
        self._printer.step(
            earner.name, "granted", f"+{shown(newest.amount)} credits for {earned}", balance
        )

    async def _next_block(self, waiting: Sequence[Earned]) -> list[Earned]:
        """Add a block, and return those of the waiting events that it confirmed."""
        self._checks.begin("waiting for confirmations")
        await asyncio.sleep(self._block_seconds)
        number = await self._stage.town.add_block()
        await self._stage.follow(number)
        for earned in waiting:
            confirmations = number - earned.block_number
            earning = await self._stage.earning(earned)
            state = "pending" if confirmations < CONFIRMATIONS else "confirmed"
            whose = f"{earned.earner.name}'s event in block {earned.block_number}"
            self._checks.equal(f"state of {whose}", found=earning.state, expected=state)
            self._checks.equal(
                f"confirmations of {whose}", found=earning.confirmations, expected=confirmations
            )
        return [each for each in waiting if number - each.block_number >= CONFIRMATIONS]

    async def _see(self, earned: Earned) -> None:
        town, earner = self._stage.town, earned.earner
        credits_expected = expected_credits(earned.source, earned.amount)
        earning = await self._stage.earning(earned)
        self._checks.equal(
            "what the API says of the event",
            found=(
                *(earning.state, earning.source, earning.credits, earning.amount),
                *(earning.wallet.lower(), earning.ordinal),
                *(earning.block_number, earning.block_hash, earning.confirmations_needed),
            ),
            expected=(
                *("pending", earned.source, credits_expected, str(earned.amount)),
                *(f"0x{earner.address.hex()}", earned.ordinal),
                *(earned.block_number, await town.block_hash(earned.block_number), CONFIRMATIONS),
            ),
        )
        balance = await self._stage.api.balance(self._stage.account(earner))
        self._checks.equal(
            "available and pending",
            found=(balance.available, balance.pending),
            expected=(self.has[earner.name], credits_expected),
        )
        self._printer.step(
            earner.name,
            "seen",
            f"{shown(earning.credits)} credits pending,"
            f" {earning.confirmations} of {earning.confirmations_needed} confirmations",
            balance.available,
        )

    async def _confirm(self, waiting: Sequence[Earned]) -> None:
        """Add blocks until every event is confirmed and granted."""
        for _ in range(CONFIRMATIONS + len(waiting)):
            confirmed = await self._next_block(waiting)
            self._printer.tick(await self._standing(waiting))
            for earned in confirmed:
                self._printer.step(
                    earned.earner.name,
                    "confirmed",
                    f"block {earned.block_number} has {CONFIRMATIONS} blocks on top",
                )
                await self._granted(earned)
            waiting = [each for each in waiting if each not in confirmed]
            if not waiting:
                break
        self._printer.tick("")
        self._checks.equal("events left without a grant", found=waiting, expected=[])

    async def _standing(self, waiting: Sequence[Earned]) -> str:
        """Return in one line how far the waiting events are."""
        earnings = [(each.earner.name, await self._stage.earning(each)) for each in waiting]
        return f"block {await self._stage.town.head_number()}:  " + "   ".join(
            f"{name} {earning.confirmations} of {earning.confirmations_needed}"
            for name, earning in earnings
        )

    async def _pay(self, earner: Earner, operation: str, key: str | None = None) -> None:
        self._checks.begin(f"{earner.name} pays for a {operation}")
        reply = await self._buy(earner, operation, key or new_key())
        self.has[earner.name] -= PRICES[operation]
        self._checks.equal(
            "the app's status, cost and balance",
            found=(reply.status, reply.cost, reply.balance),
            expected=(HTTPStatus.OK, PRICES[operation], self.has[earner.name]),
        )
        entries = await self._entries(earner)
        legs = [entry for entry in entries if entry.movement == entries[0].movement]
        self._checks.equal(
            "kind, operation and sum of the newest movement",
            found=({leg.kind for leg in legs}, legs[-1].operation, sum(leg.amount for leg in legs)),
            expected=({"charge"}, operation, PRICES[operation]),
        )
        again = " with the same key" if key else ""
        self._printer.step(
            earner.name,
            "charged",
            f"-{shown(PRICES[operation])} for a {operation}{again}",
            await self._balance(earner),
        )

    async def _fail(self, earner: Earner) -> None:
        """Ask for what fails, and find the charge and its refund in the books."""
        self._checks.begin(f"{earner.name}'s report fails")
        reply = await self._buy(earner, REPORT, new_key())
        self._checks.equal(
            "the app's status, cost and balance",
            found=(reply.status, reply.cost, reply.balance),
            expected=(HTTPStatus.INTERNAL_SERVER_ERROR, 0, self.has[earner.name]),
        )
        refund, charge, *_ = await self._entries(earner)
        self._checks.equal(
            "the newest entries",
            found=(charge.kind, charge.amount, refund.kind, refund.amount, refund.refers_to),
            expected=("charge", PRICES[REPORT], "refund", PRICES[REPORT], charge.seq),
        )
        name, price = earner.name, shown(PRICES[REPORT])
        self._printer.step(name, "charged", f"-{price} for a {REPORT}", charge.available_after)
        self._printer.step(name, "failed", f"the app answers {reply.status}")
        self._printer.step(name, "refunded", f"+{price}", await self._balance(earner))

    async def _run_short(self, earner: Earner) -> None:
        """Buy until it is too dear, earn, and buy under the same key."""
        for _ in range(REPORTS_MAX):
            if self.has[earner.name] < PRICES[REPORT]:
                break
            await self._pay(earner, REPORT)
        key = new_key()
        await self._refused(earner, key, pending=Decimal(0))
        earned = await self._mine(earner)
        await self._refused(earner, key, pending=expected_credits(earned.source, earned.amount))
        await self._confirm([earned])
        await self._pay(earner, REPORT, key)
        self._checks.begin(f"{earner.name} repeats a request")
        reply = await self._buy(earner, REPORT, key)
        self._checks.equal(
            "status and problem",
            found=(reply.status, reply.problem and reply.problem.type),
            expected=(HTTPStatus.CONFLICT, "/problems/operation-was-charged"),
        )
        balance = await self._balance(earner)
        self._printer.step(
            earner.name, "409", "the same key again: nothing is taken twice", balance
        )

    async def _refused(self, earner: Earner, key: str, *, pending: Decimal) -> None:
        """Ask for a report that the balance does not cover."""
        self._checks.begin(f"{earner.name} cannot pay for a report")
        has = self.has[earner.name]
        reply = await self._buy(earner, REPORT, key)
        problem = reply.problem or Problem(type="", detail="")
        self._checks.equal(
            "status, and what is required, available, missing and pending",
            found=(
                *(reply.status, problem.required, problem.available),
                *(problem.missing, problem.pending),
            ),
            expected=(
                *(HTTPStatus.PAYMENT_REQUIRED, PRICES[REPORT], has),
                *(PRICES[REPORT] - has, pending),
            ),
        )
        balance = await self._balance(earner)
        missing, price = shown(PRICES[REPORT] - has), shown(PRICES[REPORT])
        said = f"a {REPORT} costs {price}: {missing} missing, nothing taken"
        if pending:
            said = f"the same key: {missing} missing, {shown(pending)} pending: wait"
        self._printer.step(earner.name, "402", said, balance)

    async def _entries(self, earner: Earner) -> list[Entry]:
        return await self._stage.api.entries(self._stage.account(earner))

    async def _balance(self, earner: Earner) -> Decimal:
        """Return what the API says somebody has, which is what they should have."""
        balance = await self._stage.api.balance(self._stage.account(earner))
        self._checks.equal(
            f"{earner.name}'s balance", found=balance.available, expected=self.has[earner.name]
        )
        return balance.available

    async def _buy(self, earner: Earner, operation: str, key: str) -> Reply:
        return await self._stage.shop.buy(self._stage.customers[earner.name].token, operation, key)
