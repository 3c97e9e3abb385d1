"""One API process: the ledger opened, the app made, and HTTP served until it is told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import uvicorn

from api.app import Api
from api.calling.calls import AnyEndpoint, Parts
from api.calling.sessions import Sessions
from api.calling.sign_in_terms import SignInTerms
from api.calling.signing import Signing
from api.connections import BoundedConnection
from api.endpoints import ENDPOINTS, OPERATOR_ENDPOINTS
from api.identity.callers import OPERATORS
from api.metrics import Metrics
from api.operating.desk import Desk
from api.operating.replays import Replays, RunReplay
from api.problems.shortfall import NO_HELPS, Helps
from ledger.api_key_terms import Rate
from ledger.api_keys import OwnApiKeys
from ledger.balances import Balances
from ledger.changes import Changes
from ledger.consents import Consents
from ledger.linking import Linking
from ledger.operator_acts import OperatorActs
from ledger.reading import Reading
from ledger.reserving import Reserving
from ledger.sharing import Sharing
from ledger.sign_ins import SignIns
from ledger.spending import LANES, QUEUE_MAX, Spending

# Longer than the 60 s after which common proxies give an idle connection up: they close, not we.
KEEP_ALIVE_SECONDS: Final = 75
# What is under way at a signal gets this long, a hundred times what a charge takes; closing the
# ledger and the interpreter's own end come on top, and all of it must stay below 3 s.
STOP_SECONDS: Final = 1.0
# Of these so long it is still listened, and said that no more should be sent: a proxy that looks
# more seldom finds nobody, which it takes for the same.
DRAIN_SECONDS: Final = 0.5
BACKLOG: Final = 1_024  # connections the kernel holds for us while the loop is busy


class CannotListen(Exception):
    """The address is taken, or not one of this machine's."""


@asynccontextmanager
async def listening(
    database_url: str,
    *,
    host: str,
    port: int,
    lanes: int = LANES,
    queue_max: int = QUEUE_MAX,
    endpoints: Sequence[AnyEndpoint] = ENDPOINTS,
    sign_in: SignInTerms | None = None,
    metrics: Metrics | None = None,
    rate_limit: Rate | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    helps: Helps = NO_HELPS,
) -> AsyncIterator[str]:
    """Serve `endpoints` while the context lasts, and give the URL; port 0 takes any free one.

    Wallets sign in by the terms of `sign_in`, or not at all. `rate_limit` is that of API keys
    without one of their own. For `drain_seconds` of STOP_SECONDS `/readyz` tells at the end that
    no more should be sent; then no connection is taken any more.
    `helps` are the pages that a 402 refers to.
    Charges go to the database by so many `lanes`, with at most `queue_max` waiting for each. Raises
    CannotListen, and SchemaMismatch or LedgerUnavailable of the ledger.
    """
    with contextlib.closing(_bound(host, port)) as listener:
        async with (
            Changes.open(database_url) as changes,
            Reading.open(database_url) as reading,
            Spending.open(
                database_url, lanes=lanes, queue_max=queue_max, changes=changes
            ) as spending,
            Reserving.open(database_url, changes=changes) as reserving,
            Sharing.open(database_url, changes=changes) as sharing,
            Consents.open(database_url, changes=changes) as consents,
            OwnApiKeys.open(database_url) as api_keys,
            Balances.open(reading, changes) as balances,
            SignIns.open(database_url) as sign_ins,
            Linking.open(database_url, changes=changes) as linking,
        ):
            signing = Signing(sign_ins, linking, Sessions(sign_ins), sign_in)
            parts = Parts(
                spending=spending,
                reserving=reserving,
                sharing=sharing,
                consents=consents,
                api_keys=api_keys,
                reading=reading,
                balances=balances,
                signing=signing,
                metrics=metrics or Metrics(),
                helps=helps,
            )
            api = Api(parts, endpoints, rate_limit=rate_limit)
            async with _serving(api, listener, drain_seconds=drain_seconds):
                yield _url(listener)


@asynccontextmanager
async def operator_listening(
    database_url: str,
    *,
    host: str,
    port: int,
    metrics: Metrics,
    replay: RunReplay | None = None,
) -> AsyncIterator[str]:
    """Serve the operator's endpoints while the context lasts, and give the URL.

    By sessions of the operator's role, which serve nothing else. `metrics` are the process's.
    Logs that were set aside are decoded again by `replay`, or not at all.
    Raises CannotListen, and SchemaMismatch or LedgerUnavailable of the ledger; LedgerError where
    the database login may not act as an operator.
    """
    with contextlib.closing(_bound(host, port)) as listener:
        async with (
            Reading.open(database_url, role="creditd_operator") as reading,
            OperatorActs.open(database_url) as acts,
        ):
            draining = asyncio.Event()
            desk = Desk(
                reading=reading,
                metrics=metrics,
                draining=draining,
                acts=acts,
                replays=Replays(replay, draining),
            )
            async with _serving(Api(desk, OPERATOR_ENDPOINTS, kinds=OPERATORS), listener):
                yield _url(listener)


@asynccontextmanager
async def _serving(
    api: Api, listener: socket.socket, *, drain_seconds: float = 0.0
) -> AsyncIterator[None]:
    server = _Server(
        uvicorn.Config(
            api,
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            # Uvicorn waits for any number of seconds, though it asks for whole ones.
            timeout_graceful_shutdown=STOP_SECONDS - drain_seconds,  # type: ignore[arg-type]
        )
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            try:
                await server.ready.wait()
                yield
            finally:
                api.drain()
                await asyncio.sleep(drain_seconds)
                server.should_exit = True
    except ExceptionGroup as failures:
        # What fails while this serves is told as it is: the other port that cannot be opened, say.
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from failures
        raise


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling: this process has one already."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host} port {port}: {error.strerror or error}:"
            " choose another port, or stop what listens there"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
