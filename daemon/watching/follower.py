"""Following a chain for good: leading it or standing by, turn after turn."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Final

import structlog

from daemon.chain.reading import (
    Moved,
    Unprovable,
    UnsupportedTag,
    Violated,
    read_chain_id,
    read_finalized,
    read_genesis,
    read_head,
    read_header,
)
from daemon.chain.rpc import Node, NodeRefused, NodeUnavailable
from daemon.chain.unfit import Unfit
from daemon.chain.upstreams import Upstreams, asked_in_turn
from daemon.configuration.config import Chain, Depth
from daemon.configuration.rules import Rule
from daemon.configuration.sources import Source
from daemon.watching.chain_nodes import nodes_of
from daemon.watching.contract_code import require_contracts
from daemon.watching.earning import Followed, kinds_of
from daemon.watching.steps import Halt, Wait
from daemon.watching.view import View, final_block
from daemon.watching.watcher import Followings, Step, advance, halt
from ledger.alarms import Alarms
from ledger.errors import (
    AnotherLeader,
    Deposed,
    LedgerError,
    LedgerUnavailable,
    WrongChain,
)
from ledger.watching import GENESIS_PARENT, ChainEntry, RuleEntry, StakeTerms, Watching

# A turn that goes on for ever would keep the jobs of a stopping program waiting.
STEPS_PER_TURN_MAX: Final = 100
# A node whose head stands still for so long may be stuck: another is asked whether it knows more.
STALE_SECONDS: Final = 30.0

log = structlog.get_logger()


class Follower:
    """One chain of the program: its nodes, and its books while this program leads it."""

    def __init__(self, chain: Chain, database_url: str, name: str) -> None:
        self.chain = chain
        self._database_url = database_url
        self._name = name
        self._upstreams = Upstreams(nodes_of(chain), chain.agree)
        self._leading: AsyncExitStack | None = None
        self._watching: Watching | None = None
        self._followings: Followings | None = None
        self._view: View | None = None
        self._turn = asyncio.Lock()
        self._stopping = False
        self._trouble = ""
        self._grew_at = monotonic()
        self._has_contracts = False
        self._noted: tuple[int, dict[str, str | None]] | None = None

    async def open(self) -> None:
        """Open the connections to the nodes."""
        for node in self._upstreams.nodes:
            await node.__aenter__()

    async def check_nodes(self) -> None:
        """Raise WrongChain if a node is on another chain than configured.

        Raises UnsupportedTag if the chain is to go by a finalized tag that a node does not have,
        and NodeUnavailable or NodeRefused if none answers; some may be down.
        """
        troubles: list[NodeUnavailable | NodeRefused] = []
        for node in self._upstreams.nodes:
            try:
                await self._check(node)
            except (NodeUnavailable, NodeRefused) as error:
                self._upstreams.failed(node, error)
                troubles.append(error)
        if len(troubles) == len(self._upstreams.nodes):
            raise troubles[0]

    async def _check(self, node: Node) -> None:
        found = await read_chain_id(node)
        if found != self.chain.chain_id:
            raise WrongChain(
                f"chains.{self.chain.name}: the node at {node.endpoint} is on chain {found},"
                f" the configuration says {self.chain.chain_id}: correct chain_id or rpc_url"
            )
        if isinstance(self.chain.confirmation, Depth):
            return
        try:
            await read_finalized(node, self.chain.trust)
        except UnsupportedTag as error:
            raise UnsupportedTag(
                f"{error.reason} (chains.{self.chain.name}: set confirmation = {{ depth = … }}"
                " where the chain has none)"
            ) from error

    async def _check_contracts(self) -> None:
        """Raise NoContract, once at the start, where a source follows an address without code."""
        if self._has_contracts:
            return

        async def check(node: Node) -> None:
            await require_contracts(node, self.chain.sources, self.chain.trust)

        await asked_in_turn(self._upstreams, check)
        self._has_contracts = True

    async def turn(self) -> bool:
        """Go along the chain, and return whether there is more to do at once.

        Troubles that pass by themselves are logged once and tried again at the next turn; what
        has not been read and granted stays where the cursor is.
        """
        more = False
        async with self._turn:
            try:
                more = await self._follow()
                self._over("")
            except AnotherLeader as error:
                self._over(str(error))
            except (NodeUnavailable, NodeRefused, Moved, Violated, Unprovable) as error:
                self._over(str(error))
            except (LedgerUnavailable, Deposed) as error:
                self._over(str(error))
                await self._step_down()
            except Unfit as error:
                if self._watching is None:
                    raise
                self._over(str(error))  # it was there before: the node is starting
            except LedgerError:
                raise  # the configuration or the installation: for whoever started the program
            except Exception as error:  # noqa: BLE001 - a defect: it halts its chain, and is seen
                await self._halt(error)
        return more

    async def expire(self, accounts_max: int) -> None:
        """Post the expiry of idle accounts, if this program leads the chain."""
        async with self._turn:
            if self._watching is not None:
                lots = await self._kept(self._watching.expire_idle(accounts_max))
                if lots:
                    log.info("expired", lots=lots)

    async def expire_reservations(self, reservations_max: int) -> None:
        """End reservations whose time is over, if this program leads the chain."""
        async with self._turn:
            if self._watching is not None:
                ended = await self._kept(self._watching.expire_reservations(reservations_max))
                if ended:
                    log.info("reservations expired", reservations=ended)

    async def _kept(self, work: Awaitable[int]) -> int:
        """Do what needs the lead's session; without the session the lead is gone too."""
        try:
            return await work
        except LedgerUnavailable:
            await self._step_down()
            raise

    async def note_watch(self, alarms: Alarms) -> None:
        """Note in the books how the nodes fare, and what would be an alarm, if this leads."""
        watching = self._watching
        if watching is None:
            return
        noted = (watching.epoch, self._upstreams.troubles())
        if noted == self._noted:
            return
        cursor_seconds = self.chain.alarm_after_seconds + -(-self.chain.poll_ms // 1000)
        try:
            await alarms.note_watch(
                self.chain.chain_id,
                watching.epoch,
                cursor_seconds=cursor_seconds,
                finality_seconds=self.chain.finality_alarm_seconds,
                head_seconds=self.chain.head_alarm_seconds,
                nodes=noted[1],
            )
        except Deposed:  # the next turn meets it too, and steps down
            return
        self._noted = noted

    def followed(self) -> tuple[Sequence[Node], Sequence[Followed]] | None:
        """Return the nodes, the one read now last, and what is followed; None: this leads not."""
        if self._view is None or self._followings is None:
            return None
        now = self._view.node
        nodes = sorted(self._upstreams.nodes, key=lambda node: node is now)
        return nodes, self._followings.followed

    async def close(self) -> None:
        """End the turn in hand and give up the lead."""
        self._stopping = True
        async with self._turn:
            await self._step_down()
            for node in self._upstreams.nodes:
                await node.__aexit__(None, None, None)

    async def _follow(self) -> bool:
        view, watching, followings = await self._lead()
        view.look_up()
        for _ in range(STEPS_PER_TURN_MAX):
            if self._stopping:
                return False
            step = await self._step(view, watching, followings)
            if isinstance(step, Wait | Halt):
                return False
        return True

    async def _step(self, view: View, watching: Watching, followings: Followings) -> Step:
        """Take one step through the first node that can: that answers truly and does not lag.

        Where the evidence of none holds, the chain is halted until one shows better.
        """
        troubles: list[NodeUnavailable | NodeRefused | Violated | Unprovable] = []
        waits: list[Wait] = []
        for node in self._upstreams.in_turn():
            view.use(node)
            try:
                step = await advance(view, watching, followings)
            except (NodeUnavailable, NodeRefused, Violated, Unprovable) as error:
                view.look_again()
                self._upstreams.failed(node, error)
                troubles.append(error)
                continue
            self._upstreams.served(node)
            if not isinstance(step, Wait):
                self._grew_at = monotonic()
                return step
            waits.append(step)
            if not step.lags and monotonic() - self._grew_at < STALE_SECONDS:
                break
        if waits:
            return waits[0]
        for trouble in troubles:
            if isinstance(trouble, Violated | Unprovable):
                step = Halt(str(trouble))
                await halt(watching, self.chain, step)
                return step
        raise troubles[0]

    async def _lead(self) -> tuple[View, Watching, Followings]:
        if self._view and self._watching and self._followings:
            return self._view, self._watching, self._followings
        await self.check_nodes()
        await self._check_contracts()
        entry = await asked_in_turn(self._upstreams, self._entry)
        async with AsyncExitStack() as stack:
            watching = await stack.enter_async_context(
                Watching.lead(self._database_url, entry, self._name)
            )
            rule_ids = await watching.enter_rules(
                [rule_entry(source) for source in self.chain.sources]
            )
            followed = [Followed(each, rule_ids[each.name]) for each in self.chain.sources]
            followings = Followings(self.chain, tuple(followed))
            self._leading = stack.pop_all()
        self._watching, self._followings = watching, followings
        self._view = View(self._upstreams, self.chain, kinds_of(followings.followed))
        log.info("leading", chain=self.chain.name, epoch=watching.epoch)
        return self._view, watching, followings

    async def _step_down(self) -> None:
        leading, self._leading = self._leading, None
        view, self._view = self._view, None
        self._watching = self._followings = None
        if view is not None:
            await view.close()
        if leading is not None:
            await leading.aclose()
            log.info("no longer leading", chain=self.chain.name)

    async def _entry(self, node: Node) -> ChainEntry:
        """Return the chain for the books. Its anchor is below the first source, and final."""
        confirmation, trust = self.chain.confirmation, self.chain.trust
        head = await read_head(node, trust)
        finalized = None if isinstance(confirmation, Depth) else await read_finalized(node, trust)
        final = final_block(self.chain, head, finalized)
        first = min((source.from_block for source in self.chain.sources), default=final.number + 1)
        number = max(min(first - 1, final.number), -1)
        anchor_hash, anchor_time = GENESIS_PARENT, 0
        if number >= 0:
            anchor = await read_header(node, number, trust)
            if anchor is None:
                raise Moved(f"the node has no block {number}")
            if number == final.number and final.hash not in (None, anchor.hash):
                raise Violated(
                    number, "the node calls another block final than its chain has there"
                )
            anchor_hash, anchor_time = anchor.hash, anchor.time
        return ChainEntry(
            chain_id=self.chain.chain_id,
            name=self.chain.name,
            genesis=await read_genesis(node, trust),
            depth=confirmation.blocks if isinstance(confirmation, Depth) else None,
            anchor_number=number,
            anchor_hash=anchor_hash,
            anchor_time=anchor_time,
        )

    async def _halt(self, defect: Exception) -> None:
        trouble = (
            f"a defect of creditd: {type(defect).__name__}: {str(defect).partition(chr(10))[0]}"
        )
        if trouble != self._trouble:
            log.error("defect", chain=self.chain.name, exc_info=defect)
        self._over(trouble)
        if self._watching is not None:
            try:
                await self._watching.halt(trouble)
            except LedgerError:  # the next turn meets it too, and decides
                await self._step_down()

    def _over(self, trouble: str) -> None:
        """Log a trouble when it begins or changes, and its end; not once a turn."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("waiting", chain=self.chain.name, trouble=trouble)
        else:
            log.info("going on", chain=self.chain.name, after=self._trouble)
        self._trouble = trouble


def rule_entry(source: Source) -> RuleEntry:
    """Return a source as the books know it."""
    return RuleEntry(
        name=source.name,
        contract=source.contract,
        event=source.followed,
        from_block=source.from_block,
        to_block=source.to_block,
        cap_account=source.rule.max_per_account_micro,
        cap_account_day=source.rule.max_per_account_day_micro,
        expires_days=source.rule.expires_days,
        source=source.kind,
        on_reversal=source.on_reversal,
        priority=source.priority,
        operations=source.operations,
        cap_day=source.rule.max_per_day_micro,
        cap_total=source.rule.max_in_all_micro,
        stakes=_stake_terms(source.rule),
    )


def _stake_terms(rule: Rule) -> StakeTerms | None:
    if rule.holding is None:
        return None
    return StakeTerms(
        divisor=rule.per_base_units * rule.holding.every_seconds,
        rates=((0, rule.credits_micro), *rule.rates),
        period_seconds=rule.holding.period_seconds,
        hold_seconds=rule.holding.hold_seconds,
    )
