"""The OpenAPI 3.1 document, made of the endpoints' table and the types that decode the requests."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from api.calling.calls import (
    AnyEndpoint,
    Document,
    Endpoint,
    OpenEndpoint,
    Process,
    VisitorEndpoint,
)
from api.calling.decoding import required_fields
from api.calling.idempotency import KEY_LENGTH_MAX
from api.calling.sessions import COOKIE, PERSON_SCOPES
from api.problems import refusals
from api.problems.problem_type import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from api.problems.problem_type import ProblemType
from api.problems.table import BY_CAUSE, BY_CODE
from api.shapes import (
    ACCOUNT_PATTERN,
    CHARGE_PATTERN,
    OPERATION_LENGTH_MAX,
    OPERATION_PATTERN,
    RESERVATION_PATTERN,
)
from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.periods import Period

REF_TEMPLATE: Final = "#/components/schemas/{name}"
# Of the wire format. It changes when an answer loses or changes a member, not when it gains one.
WIRE_VERSION: Final = "1.0.0"

_DESCRIPTION: Final = (
    "Credits are decimal strings. A write that would do more if it were done twice needs an"
    " Idempotency-Key: the same key with the same request gives the same answer, marked"
    " Idempotent-Replayed, however often it is sent, and a refusal does not use the key up. The"
    " others (open or find by name, PUT, DELETE) may be sent again as they are. Errors are RFC"
    " 9457 problems, told apart by `type`."
)
_CREDITS: Final = {"type": "string", "examples": ["12.5"]}
_HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    "Credits-Balance": {"description": "Credits available afterwards.", "schema": _CREDITS},
    "Credits-Held": {"description": "Credits held afterwards.", "schema": _CREDITS},
    "Credits-Version": {
        "description": "Of the account, with this: a balance read by `version` is not older.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Credits-Cost": {"description": "Credits the charge costs.", "schema": _CREDITS},
    "Credits-Account": {"description": "The account that pays.", "schema": {"type": "string"}},
    "Credits-Charge": {"description": "The charge, if one was made.", "schema": {"type": "string"}},
    "Credits-Reservation": {
        "description": "The reservation, if one was made.",
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "Present on the answer to a request made earlier under the same key.",
        "schema": {"const": "true"},
    },
    "Set-Cookie": {
        "description": "The session's cookie, or what takes it away.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where to read it.", "schema": {"type": "string"}},
}
_KEY_PARAMETER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names what is asked for, over all its retries: a UUID, say.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX},
}
_PATH_PART: Final = re.compile(r"\{(\w+)\}")
_TEXT: Final = {"type": "string"}
_ACCOUNT: Final = {"type": "string", "pattern": ACCOUNT_PATTERN}
_PATH_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "account": _ACCOUNT,
    "member": _ACCOUNT,
    "charge": {"type": "string", "pattern": CHARGE_PATTERN},
    "reservation": {"type": "string", "pattern": RESERVATION_PATTERN},
    "operation": {
        "type": "string",
        "pattern": OPERATION_PATTERN,
        "maxLength": OPERATION_LENGTH_MAX,
    },
    "period": {"enum": list(get_args(Period))},
    "code": {"type": "string", "enum": sorted(BY_CODE)},
}
# What an endpoint is asked by, beside path, query and body.
_HEADER_PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "Credits-Account": {
        "name": "Credits-Account",
        "in": "header",
        "required": False,
        "description": "Who pays, where the API key is an app's. The proxy overwrites it.",
        "schema": {"type": "string", "maxLength": 64},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "`id` of the last event that was read: what came after it is told first.",
        "schema": {"type": "string", "maxLength": 100},
    },
    "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "Names the call, unless `key_header` says otherwise. The proxy overwrites"
        " it, anew for each call.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
}
# What may be told by another status: who calls must be told as it is, and what the server fails at.
_DENIALS: Final = frozenset(range(400, 500)) - {401}
# What any endpoint for apps may refuse, and what any write may.
_REFUSED_BY_ALL: Final = (
    refusals.QuotaExceeded,
    refusals.TooManyRequests,
    refusals.Invalid,
    LedgerBusy,
    LedgerUnavailable,
    refusals.Stopping,
    refusals.Unforeseen,
)
_REFUSED_BY_WRITES: Final = (
    refusals.Malformed,
    refusals.BodyTimedOut,
    refusals.BodyTooLarge,
    refusals.MediaTypeUnsupported,
)


def openapi_endpoint(endpoints: Sequence[AnyEndpoint]) -> OpenEndpoint:
    """Return the endpoint that gives the document of the other endpoints and itself."""
    content = b""

    async def run(_parts: Process, _path: Mapping[str, str]) -> Document:
        return Document("application/json", content)

    endpoint = OpenEndpoint(
        path="/openapi.json",
        name="openapi",
        summary="This document",
        shape="application/json",
        run=run,
    )
    content = msgspec.json.encode(openapi_document([*endpoints, endpoint]))
    return endpoint


def openapi_document(endpoints: Iterable[AnyEndpoint]) -> dict[str, Any]:
    """Return the document as what JSON can hold."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    shapes: set[type] = set()
    for endpoint in endpoints:
        if isinstance(endpoint, Endpoint):
            for method in endpoint.methods:
                operation = _app_operation(endpoint, shapes)
                if endpoint.deprecated is not None:
                    operation["deprecated"] = True
                if len(endpoint.methods) > 1:
                    operation["operationId"] += f"-{method.lower()}"
                paths[endpoint.path][method.lower()] = operation
        elif isinstance(endpoint, VisitorEndpoint):
            paths[endpoint.path]["post"] = _visitor_operation(endpoint, shapes)
        else:
            paths[endpoint.path]["get"] = _open_operation(endpoint, shapes)
    _, schemas = msgspec.json.schema_components(
        sorted(shapes, key=lambda shape: shape.__name__), ref_template=REF_TEMPLATE
    )
    for shape in shapes:
        schemas[shape.__name__] |= getattr(shape, "extra_schema", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "creditd", "version": WIRE_VERSION, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "ck_…"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "Set by POST /v1/sign-in. What changes something must come from"
                    " a page of the API's own origin.",
                },
            },
        },
    }


def _app_operation(endpoint: Endpoint[Any, Any], shapes: set[type]) -> dict[str, Any]:
    refused = [*endpoint.refusals, *_REFUSED_BY_ALL]
    refused += [refusals.Unauthenticated, refusals.SessionOver]
    if not endpoint.only_reads:
        refused.append(refusals.OriginRefused)
    if endpoint.scopes:
        refused.append(refusals.ScopeMissing)
    if "{" in endpoint.path:  # a part with a slash or a line feed leads elsewhere
        refused.append(refusals.NotFound)
    if endpoint.for_apps:
        refused.append(refusals.ForAppsOnly)
    if endpoint.writes:
        refused.extend(_REFUSED_BY_WRITES)
    if endpoint.needs_key:
        refused.extend((refusals.KeyMissing, refusals.KeyMalformed))
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "security": _security(endpoint),
        "parameters": [
            *_path_parameters(endpoint.path),
            *_query_parameters(endpoint.query),
            *(_HEADER_PARAMETERS[name] for name in endpoint.takes),
        ],
        "responses": _answers(endpoint, shapes)
        | _problem_responses(refused, shapes, denied_as=endpoint.denied_as),
    }
    if endpoint.scopes:
        operation["description"] = f"Needs the scope {' or '.join(endpoint.scopes)}."
    if endpoint.needs_key:
        operation["parameters"].append(_KEY_PARAMETER)
    if endpoint.writes:
        operation["requestBody"] = _request_body(endpoint.body, shapes)
    return operation


def _visitor_operation(endpoint: VisitorEndpoint[Any], shapes: set[type]) -> dict[str, Any]:
    refused = [*endpoint.refusals, *_REFUSED_BY_ALL, *_REFUSED_BY_WRITES]
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "security": [],
        "parameters": [],
        "requestBody": _request_body(endpoint.body, shapes),
        "responses": _answers(endpoint, shapes) | _problem_responses(refused, shapes),
    }


def _security(endpoint: Endpoint[Any, Any]) -> list[dict[str, list[str]]]:
    """Return what a request may come with: an API key, or a session that may do as much."""
    if endpoint.for_sessions:
        return [{"session": []}]
    is_for_people = not endpoint.scopes or not PERSON_SCOPES.isdisjoint(endpoint.scopes)
    if is_for_people and not endpoint.for_apps:
        return [{"apiKey": []}, {"session": []}]
    return [{"apiKey": []}]


def _answers(
    endpoint: Endpoint[Any, Any] | VisitorEndpoint[Any], shapes: set[type]
) -> dict[str, Any]:
    return {
        str(status): {
            "description": endpoint.summary
            if isinstance(shape, str)
            else (shape.__doc__ or "").partition("\n")[0],
            "headers": {name: _HEADERS[name] for name in endpoint.headers},
            "content": {shape: {}}
            if isinstance(shape, str)
            else {"application/json": {"schema": _schema(shape, shapes)}},
            "links": {
                name: {"operationId": name, "parameters": {part: "$response.body#/id"}}
                for name, part in endpoint.leads_to.items()
            },
        }
        for status, shape in endpoint.answers.items()
    }


def _request_body(body: type[msgspec.Struct], shapes: set[type]) -> dict[str, Any]:
    return {
        "required": bool(required_fields(body)),
        "content": {"application/json": {"schema": _schema(body, shapes)}},
    }


def _open_operation(endpoint: OpenEndpoint, shapes: set[type]) -> dict[str, Any]:
    if isinstance(endpoint.shape, str):
        content: dict[str, Any] = {endpoint.shape: {}}
    else:
        content = {"application/json": {"schema": _schema(endpoint.shape, shapes)}}
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "security": [],
        "parameters": _path_parameters(endpoint.path),
        "responses": {"200": {"description": endpoint.summary, "content": content}}
        | _problem_responses([*endpoint.refusals, refusals.Unforeseen], shapes),
    }


def _problem_responses(
    causes: Iterable[type], shapes: set[type], *, denied_as: int | None = None
) -> dict[str, Any]:
    by_status: dict[int, list[ProblemType]] = defaultdict(list)
    for cause in dict.fromkeys(causes):
        row = BY_CAUSE[cause]
        by_status[row.status].append(row)
        if denied_as is not None and row.status in _DENIALS - {denied_as}:
            by_status[denied_as].append(row)
    return {
        str(status): {
            "description": "; ".join(f"{row.title} ({row.path})" for row in rows),
            "content": {PROBLEM_MEDIA_TYPE: {"schema": _problem_schema(rows, shapes)}},
        }
        for status, rows in sorted(by_status.items())
    }


def _problem_schema(rows: Sequence[ProblemType], shapes: set[type]) -> dict[str, Any]:
    return {
        "oneOf": [
            {
                "allOf": [
                    _schema(row.shape, shapes),
                    {"properties": {"type": {"const": row.path}}},
                ]
            }
            for row in rows
        ]
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _TEXT)}
        for name in _PATH_PART.findall(path)
    ]


def _query_parameters(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([query], ref_template=REF_TEMPLATE)
    required = required_fields(query)
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in schemas[query.__name__]["properties"].items()
    ]


def _schema(shape: type[msgspec.Struct], shapes: set[type]) -> dict[str, Any]:
    shapes.add(shape)
    shapes.update(getattr(shape, "decoded_later", ()))
    return {"$ref": REF_TEMPLATE.format(name=shape.__name__)}
