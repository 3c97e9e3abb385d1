"""A request that may run, and what becomes of its credits when it has."""

from typing import Final, Protocol

from creditd_client.asgi import App, Message, Receive, Scope, Send
from creditd_client.finishing import finish
from creditd_client.metering.exchange import Ending, Exchange

SERVER_FAILURE: Final = 500

Headers = list[tuple[bytes, bytes]]


class Run(Protocol):
    """The credits of one request. Each of these may be asked once more: what is done is done."""

    def enter(self, scope: Scope) -> None:
        """Take note that the app is about to be called."""

    def comes_to_nothing(self, status: int, *, gone: bool) -> bool:
        """Say whether an answer of this status is not to be paid; `gone`: the caller hung up."""

    async def undo(self) -> None:
        """Give back what was taken, for a request that did not run or came to nothing."""

    def headers(self) -> Headers:
        """Return what the answer says of credits."""

    async def ended(self, ending: Ending) -> None:
        """Take or give back what the ending calls for."""


async def carry_out(run: Run, app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app, and end the run however the app ends."""

    async def before_start(message: Message) -> None:
        if run.comes_to_nothing(message["status"], gone=exchange.hung_up):
            await finish(run.undo())
        message["headers"] = [*message.get("headers", ()), *run.headers()]

    async def after_end() -> None:
        await finish(run.ended(Ending.ANSWERED))

    exchange = Exchange(receive, send, before_start, after_end)
    try:
        run.enter(scope)
        await app(scope, exchange.receive, exchange.send)
    except BaseException as failure:
        await finish(run.ended(exchange.ending(failure)))
        raise
    else:
        await finish(run.ended(exchange.ending(None)))
    finally:
        await exchange.close()
