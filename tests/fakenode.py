"""A node that shows a `FakeChain` as JSON-RPC, with the faults real ones have.

`FakeNode.reply` makes an answer out of a request's body; `serve` and `listen` carry both over HTTP.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from aiohttp import web
from fakechain import Branch, MinedBlock
from fakelogs import LogFaults, Refusal, find_logs, receipt_of

from contracts.hashing import keccak

UNKNOWN_BLOCK = -39001
METHOD_MISSING = -32601
INVALID_PARAMS = -32602
OK = 200


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before an answer."""


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer ever comes."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """Half of the answer comes, as if it were the whole or (`announced`) half of what was said."""

    announced: bool = False


@dataclass(frozen=True, slots=True)
class Says:
    """These bytes, instead of an answer."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error instead of an answer."""

    status: int
    retry_after: str | None = None


Failure = Reset | Silence | Truncated | Says | Status


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node answers with, and what becomes of it on the way if it does not arrive whole."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: Reset | Silence | Truncated | None = None


class Shown(Protocol):
    """What a node knows of a chain. A `FakeChain` is one: a node that knows all of it."""

    @property
    def chain_id(self) -> int: ...
    @property
    def branch(self) -> Branch: ...
    @property
    def by_hash(self) -> Mapping[bytes, MinedBlock]: ...
    @property
    def finalized_number(self) -> int: ...


class Answers(Protocol):
    """Whoever is behind a URL."""

    def reply(self, body: bytes) -> Reply: ...


@dataclass(slots=True)
class Faults:
    """What is wrong with the node just now; every field may be changed while it serves.

    Sets name blocks by number. `failures` are used up, one by each HTTP request.
    """

    failures: deque[Failure] = field(default_factory=deque)
    omit_log_in: set[int] = field(
        default_factory=set
    )  # the block's last log is not in its receipts
    empty_receipts_in: set[int] = field(default_factory=set)
    strip_logs_in: set[int] = field(default_factory=set)  # receipts without any log
    parents_receipts_in: set[int] = field(default_factory=set)
    wrong_root_in: set[int] = field(default_factory=set)  # another receiptsRoot, the hash kept
    wrong_hash_in: set[int] = field(default_factory=set)  # another hash, the header kept
    lost_blocks: set[int] = field(default_factory=set)  # null, wherever they are asked for
    lost_uncles: set[int] = field(default_factory=set)  # null, where uncles are asked for
    branch: Branch | None = None  # shown as canonical, whatever the chain's is
    lag_blocks: int = 0  # every `lag_every`-th request is answered by a node so far behind
    lag_every: int = 1
    reorder_batches: bool = False
    drop_from_batches: bool = False
    repeat_in_batches: bool = False  # the last answer comes twice
    batch_calls_max: int | None = None  # a longer batch is refused as a whole
    chain_id: int | None = None  # another one than the chain's
    finalized_tag: bool = True
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)  # methods: code and message
    logs: LogFaults = field(default_factory=LogFaults)
    no_code_at: set[bytes] = field(default_factory=set)  # addresses that are no contracts
    before_request: Callable[[list[str]], None] | None = None  # is told the methods asked for
    requests: list[list[str]] = field(default_factory=list)  # the methods of each request so far

    @property
    def calls(self) -> Counter[str]:
        return Counter(method for methods in self.requests for method in methods)


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@asynccontextmanager
async def serve(chain: Shown, faults: Faults | None = None) -> AsyncIterator[str]:
    """Serve on a port of its own; yields the URL, below which every path answers."""
    async with listen(FakeNode(chain, faults or Faults())) as url:
        yield url


@asynccontextmanager
async def listen(answers: Answers) -> AsyncIterator[str]:
    """Let anybody answer on a port of its own; yields the URL, below which every path answers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await _sent(request, answers.reply(await request.read()))

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _sent(request: web.Request, reply: Reply) -> web.StreamResponse:
    match reply.cut:
        case Reset():
            assert request.transport is not None
            request.transport.abort()
        case Silence():
            await asyncio.Event().wait()
        case Truncated(announced):
            return await _truncated(request, reply.body, announced)
    kind = {"Content-Type": "application/json"} if reply.status == OK else {}
    return web.Response(body=reply.body, status=reply.status, headers={**kind, **reply.headers})


async def _truncated(request: web.Request, body: bytes, announced: bool) -> web.StreamResponse:
    half = body[: len(body) // 2]
    response = web.StreamResponse()
    response.content_length = len(body if announced else half)
    await response.prepare(request)
    await response.write(half)
    if announced and request.transport is not None:
        request.transport.close()
    return response


class FakeNode:
    """A node: what it knows, and what is wrong with it."""

    def __init__(self, chain: Shown, faults: Faults) -> None:
        self.chain = chain
        self.faults = faults

    def reply(self, body: bytes) -> Reply:
        """Answer a request, a single call or a batch of them."""
        asked = msgspec.json.decode(body)
        calls = asked if isinstance(asked, list) else [asked]
        methods = [call["method"] for call in calls]
        if self.faults.before_request is not None:
            self.faults.before_request(methods)
        self.faults.requests.append(methods)
        failure = self.faults.failures.popleft() if self.faults.failures else None
        match failure:
            case Reset() | Silence():
                return Reply(cut=failure)
            case Status(status, retry_after):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                return Reply(b"not now", status, headers)
            case Says(said):
                return Reply(said)
        answer = self._answers(calls) if isinstance(asked, list) else self.answer(asked)
        return Reply(msgspec.json.encode(answer), cut=failure)

    def _answers(self, calls: list[dict[str, Any]]) -> object:
        longest = self.faults.batch_calls_max
        if longest is not None and len(calls) > longest:
            error = {"code": -32600, "message": f"batch of more than {longest} calls"}
            return {"jsonrpc": "2.0", "id": None, "error": error}
        answers = [self.answer(call) for call in calls]
        if self.faults.reorder_batches:
            answers.reverse()
        if self.faults.repeat_in_batches:
            answers.append(answers[-1])
        return answers[1:] if self.faults.drop_from_batches else answers

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """Answer one call."""
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return {**answer, "result": self._result(call["method"], call["params"])}
        except _Refused as refused:
            return {**answer, "error": {"code": refused.code, "message": str(refused)}}

    def _result(self, method: str, params: list[Any]) -> object:
        if method in self.faults.refuses:
            raise _Refused(*self.faults.refuses[method])
        match method, params:
            case "eth_chainId", []:
                return hex(self.faults.chain_id or self.chain.chain_id)
            case "eth_blockNumber", []:
                return hex(self._head_number())
            case "eth_getBlockByNumber" | "eth_getBlockByHash", [name, False]:
                block = self._block(name)
                return None if block is None else self._header(block)
            case "eth_getBlockReceipts", [_] if self.faults.logs.no_block_receipts is not None:
                refusal = self.faults.logs.no_block_receipts
                raise _Refused(refusal.code, refusal.message)
            case "eth_getBlockReceipts", [name]:
                block = self._block(name)
                return None if block is None else self._receipts(block)
            case "eth_getBlockByNumber" | "eth_getBlockByHash" | "eth_getBlockReceipts", _:
                raise _Refused(INVALID_PARAMS, f"invalid params {params}")
        return self._result_beside_blocks(method, params)

    def _result_beside_blocks(self, method: str, params: list[Any]) -> object:
        match method, params:
            case "eth_getCode", [address, "latest"]:
                return "0x" if bytes.fromhex(address[2:]) in self.faults.no_code_at else "0x5b"
            case "eth_getUncleByBlockHashAndIndex", [name, index]:
                uncles = self.chain.by_hash[bytes.fromhex(name[2:])].uncles
                return self._uncle(uncles[int(index, 16)])
            case "eth_getLogs", [asked]:
                return self._found(asked)
            case "eth_getTransactionReceipt", [tx_hash]:
                return receipt_of(self._shown()[: self._head_number() + 1], tx_hash)
        raise _Refused(METHOD_MISSING, f"the method {method} does not exist")

    def _uncle(self, uncle: MinedBlock) -> dict[str, Any] | None:
        """Return an uncle as nodes show it: without what only a block has."""
        if uncle.number in self.faults.lost_uncles:
            return None
        beside = ("transactions", "withdrawals", "totalDifficulty")
        return {name: uncle.header_json[name] for name in uncle.header_json if name not in beside}

    def _found(self, asked: dict[str, Any]) -> object:
        found = find_logs(self._shown(), self._head_number(), asked, self.faults.logs)
        if isinstance(found, Refusal):
            raise _Refused(found.code, found.message)
        return found

    def _head_number(self) -> int:
        lags = len(self.faults.requests) % self.faults.lag_every == 0
        return max(0, self._shown()[-1].number - (self.faults.lag_blocks if lags else 0))

    def _shown(self) -> list[MinedBlock]:
        return (self.faults.branch or self.chain.branch).blocks

    def _block(self, name: str) -> MinedBlock | None:
        """Return the block of a number, tag or hash; orphaned ones are known by their hash."""
        if len(name) == 66:
            block = self.chain.by_hash.get(bytes.fromhex(name[2:]))
            return None if block is None or block.number in self.faults.lost_blocks else block
        number = self._number(name)
        if number > self._head_number() or number in self.faults.lost_blocks:
            return None
        return self._shown()[number]

    def _number(self, name: str) -> int:
        match name:
            case "latest":
                return self._head_number()
            case "finalized" if self.faults.finalized_tag:
                return self.chain.finalized_number
            case "earliest":
                return 0
        try:
            return int(name, 16)
        except ValueError:
            raise _Refused(UNKNOWN_BLOCK, f"'{name}' tag not supported on this network") from None

    def _header(self, block: MinedBlock) -> dict[str, Any]:
        if block.number in self.faults.wrong_hash_in:
            return {**block.header_json, "hash": "0x" + keccak(block.hash).hex()}
        if block.number in self.faults.wrong_root_in:
            return {**block.header_json, "receiptsRoot": "0x" + keccak(block.hash).hex()}
        return block.header_json

    def _receipts(self, block: MinedBlock) -> list[dict[str, Any]]:
        receipts = block.receipts_json
        if block.number in self.faults.empty_receipts_in:
            return []
        if block.number in self.faults.parents_receipts_in:
            return self.chain.by_hash[block.parent].receipts_json
        if block.number in self.faults.strip_logs_in:
            return [{**receipt, "logs": []} for receipt in receipts]
        if block.number in self.faults.omit_log_in:
            last = max((i for i, each in enumerate(receipts) if each["logs"]), default=None)
            if last is None:
                return receipts
            kept = {**receipts[last], "logs": receipts[last]["logs"][:-1]}
            return [*receipts[:last], kept, *receipts[last + 1 :]]
        return receipts
