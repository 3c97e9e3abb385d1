"""JSON-RPC for those who measure: one connection, no second tries, and hardly any CPU."""

from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec

ANSWER_SECONDS_MAX: Final = 60.0  # the longest question is for a thousand blocks to be mined

Call = tuple[str, tuple[object, ...]]


class Node:
    """A node on this machine, as a context manager. Raises RuntimeError with what it refuses."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON is any
        """Return the result of one call."""
        return _result(method, self._posted(_request(0, method, params)))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of calls that travel together, in their order."""
        answers = self._posted([_request(number, *call) for number, call in enumerate(calls)])
        by_number = {answer["id"]: answer for answer in answers}
        return [_result(method, by_number[number]) for number, (method, _) in enumerate(calls)]

    def _posted(self, content: object) -> Any:  # noqa: ANN401 - JSON is any
        body = msgspec.json.encode(content)
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return msgspec.json.decode(self._connection.getresponse().read())


def _request(number: int, method: str, params: tuple[object, ...]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def _result(method: str, answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON is any
    if "result" not in answer:
        raise RuntimeError(f"the node refused {method}: {answer.get('error')}")
    return answer["result"]
