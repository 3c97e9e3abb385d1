"""An endpoint that is to go says so, in its answers and in the document."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from starlette.types import Message

from api.app import Api
from api.calling.calls import Deprecated, Endpoint
from api.endpoints import ENDPOINTS
from api.metrics import Metrics
from api.openapi import openapi_document

SINCE = datetime(2027, 1, 1, tzinfo=UTC)
GONE_AT = datetime(2027, 7, 1, tzinfo=UTC)
OLD = Deprecated(since=SINCE, gone_at=GONE_AT, instead="/v1/charges")
TOLD = {
    "deprecation": "@1798761600",
    "sunset": "Thu, 01 Jul 2027 00:00:00 GMT",
    "link": '</v1/charges>; rel="successor-version"',
}


def of_the_table(name: str) -> Endpoint[Any, Any]:
    return next(each for each in ENDPOINTS if isinstance(each, Endpoint) and each.name == name)


def headers_of(endpoint: Endpoint[Any, Any]) -> dict[str, str]:
    """What the API sends with its refusal of somebody whom it does not know."""
    parts = SimpleNamespace(metrics=Metrics(), reading=None, signing=None, draining=asyncio.Event())
    api = Api(cast("Any", parts), [endpoint])
    scope = {
        "type": "http",
        "method": endpoint.method,
        "path": endpoint.path,
        "headers": [],
        "query_string": b"",
        "root_path": "",
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody asks for the body")

    asyncio.run(api(scope, receive, send))
    assert sent[0]["status"] == 401
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_every_answer_of_what_is_to_go_says_since_when_and_until_when() -> None:
    charge = of_the_table("charge")
    told = headers_of(replace(charge, deprecated=OLD))
    assert {name: told.get(name) for name in TOLD} == TOLD
    undecided = headers_of(replace(charge, deprecated=replace(OLD, gone_at=None)))
    assert "sunset" not in undecided
    assert not set(TOLD) & set(headers_of(charge))


def test_the_document_marks_what_is_to_go() -> None:
    charge = of_the_table("charge")
    document = openapi_document([replace(charge, deprecated=OLD)])
    assert document["paths"][charge.path]["post"]["deprecated"] is True
    now = openapi_document(ENDPOINTS)["paths"]
    assert not [path for path in now.values() for each in path.values() if "deprecated" in each]
