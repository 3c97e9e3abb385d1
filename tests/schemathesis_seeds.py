"""What schemathesis is told of, so that what it makes up meets what is there.

It reads this file by itself. The names come in the environment, because it is a program of its own.
"""

import json
import os
from random import Random
from typing import Any

import schemathesis

SEEDS: dict[str, Any] = json.loads(os.environ["CREDITD_SEEDS"])
CHOICE = Random(1)
MADE_UP = 0.1  # how much is left as schemathesis made it up


@schemathesis.hook
def map_path_parameters(
    context: schemathesis.HookContext, path_parameters: dict[str, object] | None
) -> dict[str, object] | None:
    """Name what is there instead of what is not."""
    if path_parameters is None or CHOICE.random() < MADE_UP:
        return path_parameters
    operation = context.operation
    assert operation is not None
    # What ends something has one of its own to end.
    own = SEEDS.get(str(operation.definition.raw["operationId"]), {})
    return {
        name: own.get(name) or SEEDS["path"].get(name) or value
        for name, value in path_parameters.items()
    }


@schemathesis.hook
def map_headers(
    context: schemathesis.HookContext,  # noqa: ARG001 - the library says what it is called with
    headers: dict[str, str] | None,
) -> dict[str, str] | None:
    """Name an account that is there, and call after call."""
    sent = dict(headers or {})
    if CHOICE.random() >= MADE_UP:
        sent["Credits-Account"] = SEEDS["path"]["account"]
        sent["X-Request-Id"] = f"call-{CHOICE.random()}"
    return sent


@schemathesis.hook
def map_query(
    context: schemathesis.HookContext,  # noqa: ARG001 - as above
    query: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Name the call by the header that it comes in, and ask for what is affordable."""
    if query is None or "mode" not in query or CHOICE.random() < MADE_UP:
        return query
    return {"mode": query["mode"], **({"units": 1} if "units" in query else {})}


@schemathesis.hook
def map_body(
    context: schemathesis.HookContext,  # noqa: ARG001 - as above
    body: object,
) -> object:
    """Name what is there, and ask for what is affordable."""
    return body if CHOICE.random() < MADE_UP else _seeded(body)


def _seeded(value: object) -> object:
    if isinstance(value, list):
        return [_seeded(each) for each in value]
    if not isinstance(value, dict):
        return value
    known = {**SEEDS["body"], "price_version": None}
    return {name: known[name] if name in known else _seeded(each) for name, each in value.items()}
