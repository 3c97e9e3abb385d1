import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from asked_node import ask, chain_id
from fakechain import FakeChain
from fakenode import Faults, Reset, Says, Silence, Status, Truncated, serve

from daemon.chain import rpc
from daemon.chain.rpc import ATTEMPTS_MAX, BATCH_CALLS_MAX, Node, NodeRefused, NodeUnavailable

KEY = "s3cr3t-k3y-of-the-operator"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "BACKOFF_SECONDS", (0, 0, 0))


def headers(count: int) -> Callable[[Node], Awaitable[list[Any]]]:
    calls = [("eth_getBlockByNumber", (hex(number), False)) for number in range(count)]
    return lambda node: node.batch(calls)


def numbers(answers: list[dict[str, str]]) -> list[int]:
    return [int(answer["number"], 16) for answer in answers]


def test_a_call_gives_the_result_as_the_node_said_it() -> None:
    assert ask(Faults(), chain_id) == "0x7a69"


@pytest.mark.parametrize(
    "failure",
    [
        Reset(),
        Truncated(),
        Truncated(announced=True),
        Status(500),
        Status(503),
        Status(429),
        Status(429, retry_after="0"),
        Says(b"<html>busy</html>"),
        Says(b'"a string"'),
        Says(b"\xff\xfe"),
        Says(b"[" * 100_000),
        Says(b'{"jsonrpc":"2.0","id":"text","result":1}'),
    ],
)
def test_a_call_is_tried_again_where_the_transport_fails(failure: Any) -> None:  # noqa: ANN401
    faults = Faults()
    faults.failures.extend([failure] * (ATTEMPTS_MAX - 1))
    assert ask(faults, chain_id) == "0x7a69"
    assert len(faults.requests) == ATTEMPTS_MAX


def test_the_tries_are_bounded() -> None:
    faults = Faults()
    faults.failures.extend([Status(502)] * ATTEMPTS_MAX)
    with pytest.raises(NodeUnavailable, match="HTTP status 502"):
        ask(faults, chain_id)
    assert len(faults.requests) == ATTEMPTS_MAX


def test_the_pauses_between_tries_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    faults = Faults()
    faults.failures.extend([Reset()] * 2)

    async def timed(node: Node) -> float:
        start = asyncio.get_running_loop().time()
        await node.call("eth_chainId")
        return asyncio.get_running_loop().time() - start

    assert 0.75 <= ask(faults, timed) < 5


def test_a_node_that_asks_for_a_pause_gets_it() -> None:
    faults = Faults()
    faults.failures.append(Status(429, retry_after="1"))

    async def timed(node: Node) -> float:
        start = asyncio.get_running_loop().time()
        await node.call("eth_chainId")
        return asyncio.get_running_loop().time() - start

    assert 1 <= ask(faults, timed) < 5


def test_a_node_that_asks_for_a_long_pause_is_left_alone() -> None:
    faults = Faults()
    faults.failures.append(Status(429, retry_after="3600"))
    with pytest.raises(NodeUnavailable, match="3600 seconds"):
        ask(faults, chain_id)
    assert len(faults.requests) == 1


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "API key"), (403, "API key"), (404, "URL of a node"), (302, "URL")]
)
def test_a_closed_door_is_not_knocked_at_again(status: int, remedy: str) -> None:
    faults = Faults()
    faults.failures.append(Status(status))
    with pytest.raises(NodeUnavailable, match=remedy):
        ask(faults, chain_id)
    assert len(faults.requests) == 1


def test_a_silent_node_is_given_up_after_the_timeout() -> None:
    faults = Faults()
    faults.failures.extend([Silence()] * ATTEMPTS_MAX)

    async def main() -> None:
        async with serve(FakeChain(), faults) as url, Node(url, timeout_seconds=0.1) as node:
            await node.call("eth_chainId")

    with pytest.raises(NodeUnavailable, match=r"no answer within 0\.1 seconds"):
        asyncio.run(main())


def test_a_node_that_is_not_there_is_unavailable() -> None:
    async def main() -> None:
        async with serve(FakeChain()) as url:
            pass
        async with Node(url) as node:
            await node.call("eth_chainId")

    with pytest.raises(NodeUnavailable, match="the connection failed"):
        asyncio.run(main())


def test_a_refusal_is_not_asked_again() -> None:
    faults = Faults()
    with pytest.raises(NodeRefused) as caught:
        ask(faults, lambda node: node.call("eth_mystery"))
    assert (caught.value.method, caught.value.code) == ("eth_mystery", -32601)
    assert len(faults.requests) == 1


@pytest.mark.parametrize(
    "error", [b'"no"', b"[]", b'{"code":"x"}', b'{"message":{"a":1}}', b"7", b'{"code":1e99}']
)
def test_a_refusal_in_any_shape_is_a_refusal(error: bytes) -> None:
    faults = Faults()
    faults.failures.append(Says(b'{"jsonrpc":"2.0","id":1,"error":%s}' % error))
    with pytest.raises(NodeRefused):
        ask(faults, chain_id)


def test_an_answer_without_result_or_error_is_none() -> None:
    faults = Faults()
    faults.failures.append(Says(b'{"jsonrpc":"2.0","id":1}'))
    with pytest.raises(NodeUnavailable, match="no result"):
        ask(faults, chain_id)


def test_a_list_is_no_answer_to_one_call() -> None:
    faults = Faults()
    faults.failures.extend([Says(b'[{"jsonrpc":"2.0","id":1,"result":"0x1"}]')] * ATTEMPTS_MAX)
    with pytest.raises(NodeUnavailable, match="a list, to a single call"):
        ask(faults, chain_id)


def test_a_long_batch_travels_in_bounded_parts() -> None:
    faults = Faults()
    answers = ask(faults, headers(2 * BATCH_CALLS_MAX + 1), blocks=2 * BATCH_CALLS_MAX)
    assert numbers(answers) == list(range(2 * BATCH_CALLS_MAX + 1))
    assert [len(methods) for methods in faults.requests] == [BATCH_CALLS_MAX, BATCH_CALLS_MAX, 1]


def test_an_empty_batch_asks_nothing() -> None:
    faults = Faults()
    assert ask(faults, headers(0)) == []
    assert faults.requests == []


def test_batch_answers_are_matched_by_id() -> None:
    assert numbers(ask(Faults(reorder_batches=True), headers(9), blocks=8)) == list(range(9))


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'[{"id":1,"result":null},{"id":1,"result":null}]',
        b'[{"id":1,"result":null},{"id":3,"result":null}]',
        b'[{"id":1,"result":null},{"id":2,"result":null},{"id":3,"result":null}]',
        b'[{"id":1,"result":null},{"id":null,"result":null}]',
        b'[{"id":1,"result":null},{"result":null}]',
        b'[{"id":1,"result":null},{"id":"2","result":null}]',
        b"[1,2]",
    ],
)
def test_a_batch_with_other_answers_than_calls_gives_nothing(body: bytes) -> None:
    faults = Faults()
    faults.failures.extend([Says(body)] * ATTEMPTS_MAX)
    with pytest.raises(NodeUnavailable):
        ask(faults, headers(2), blocks=1)
    assert len(faults.requests) == ATTEMPTS_MAX


def test_a_batch_that_lacks_an_answer_gives_nothing() -> None:
    with pytest.raises(NodeUnavailable, match="4 answers to 5 calls"):
        ask(Faults(drop_from_batches=True), headers(5), blocks=4)


def test_one_refused_call_fails_its_batch_and_is_named() -> None:
    calls: list[tuple[str, tuple[object, ...]]] = [("eth_chainId", ()), ("eth_mystery", ())]
    with pytest.raises(NodeRefused) as caught:
        ask(Faults(), lambda node: node.batch(calls))
    assert caught.value.method == "eth_mystery"


@pytest.mark.parametrize("longest", [1, 2, 7, 60])
def test_a_node_that_refuses_long_batches_is_asked_for_shorter_ones(longest: int) -> None:
    faults = Faults(batch_calls_max=longest)
    assert numbers(ask(faults, headers(150), blocks=149)) == list(range(150))


def test_a_node_that_takes_no_batches_is_asked_one_by_one_from_then_on() -> None:
    faults = Faults(batch_calls_max=1)

    async def twice(node: Node) -> int:
        await headers(20)(node)
        asked = len(faults.requests)
        await headers(20)(node)
        return len(faults.requests) - asked

    assert ask(faults, twice, blocks=19) == 20


def test_an_answer_too_large_is_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 10_000)
    faults = Faults()
    assert numbers(ask(faults, headers(30), blocks=29)) == list(range(30))
    monkeypatch.setattr(rpc, "ANSWER_BYTES_MAX", 1_000)
    with pytest.raises(NodeUnavailable, match="more than 1000 bytes"):
        ask(faults, headers(30), blocks=29)


@pytest.mark.parametrize(("count", "widths"), [(100, [50, 50]), (2, [2])])
def test_a_batch_that_takes_too_long_is_shorter_next_time(count: int, widths: list[int]) -> None:
    faults = Faults()
    faults.failures.extend([Silence()] * ATTEMPTS_MAX)

    async def main() -> list[int]:
        chain = FakeChain()
        chain.mine_empty(count)
        async with serve(chain, faults) as url, Node(url, timeout_seconds=0.5) as node:
            with pytest.raises(NodeUnavailable):
                await headers(count)(node)
            await headers(count)(node)
        return [len(methods) for methods in faults.requests[ATTEMPTS_MAX:]]

    assert asyncio.run(main()) == widths


def test_a_rate_limited_batch_is_not_asked_again_in_parts() -> None:
    faults = Faults()
    faults.failures.append(Says(b'{"id":null,"error":{"code":-32005,"message":"slow down"}}'))
    with pytest.raises(NodeRefused, match="slow down"):
        ask(faults, headers(4), blocks=3)
    assert len(faults.requests) == 1


@pytest.mark.parametrize(
    "failure",
    [
        Reset(),
        Status(401),
        Status(500),
        Says(b"?"),
        Says(f'{{"id":1,"error":{{"code":1,"message":"no such project {KEY}"}}}}'.encode()),
        None,
    ],
)
def test_no_error_and_no_log_line_tells_the_secrets_of_the_url(
    failure: Any,  # noqa: ANN401 - one of many
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = Faults()
    if failure is not None:
        faults.failures.extend([failure] * ATTEMPTS_MAX)

    async def main() -> None:
        async with serve(FakeChain(), faults) as url:
            secret_url = url.replace("://", f"://user:{KEY}@") + f"/v3/{KEY}?token={KEY}"
            async with Node(secret_url) as node:
                await node.call("eth_mystery")

    with pytest.raises((NodeUnavailable, NodeRefused)) as caught:
        asyncio.run(main())
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    assert KEY not in caplog.text


def paths_asked(
    handler: Callable[[web.Request], Awaitable[web.Response]], path: str, user: str = ""
) -> list[str]:
    """Ask a server of our own one thing; return what paths and users it was asked under."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path_qs)
        if "Authorization" in request.headers:
            seen.append(BasicAuth.decode(request.headers["Authorization"]).password)
        return await handler(request)

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with Node(f"http://{user}127.0.0.1:{runner.addresses[0][1]}{path}") as node:
                await node.call("eth_chainId")
        finally:
            await runner.cleanup()

    try:
        asyncio.run(main())
    except NodeUnavailable as error:
        seen.append(error.cause)
    return seen


def test_the_whole_url_is_used_credentials_path_and_query() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": "0x1"})

    assert paths_asked(answer, "/v3/key?a=b", "me:word@") == ["/v3/key?a=b", "word"]


def test_a_redirection_is_not_followed_with_the_secrets_of_the_url() -> None:
    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    asked = paths_asked(redirect, "/v3/key")
    assert asked == ["/v3/key", "HTTP status 307; is this the URL of a node?"]


@pytest.mark.parametrize(
    "url", ["ws://node:8546", "node:8545", "http://", "http://h:0/", "http://["]
)
def test_a_url_that_is_not_http_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        Node(url)


def test_a_call_that_is_cancelled_leaves_the_node_usable() -> None:
    faults = Faults()
    faults.failures.append(Silence())

    async def cancelled_then_asked(node: Node) -> object:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await node.call("eth_chainId")
        return await node.call("eth_chainId")

    assert ask(faults, cancelled_then_asked) == "0x7a69"


def test_a_node_is_used_only_while_it_is_open() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(Node("http://127.0.0.1:1").call("eth_chainId"))
