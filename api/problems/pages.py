"""The pages that explain problems to people: one for each type, and the list of all.

They are plain HTML without scripts, with one small style. Their Content-Security-Policy lets that
one in by its hash (`STYLE_HASH`) and nothing else.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from http import HTTPStatus
from typing import Any, Final

import msgspec

from api.problems.details import Problem
from api.problems.examples import example_of
from api.problems.problem_type import MEDIA_TYPE, ProblemType

LIST_PATH: Final = "/problems"

# Examples scroll within themselves, and no word is wider than a telephone.
_STYLE: Final = """
:root{color-scheme:light dark}
body{margin:1rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}
main,nav{max-width:50rem;margin:0 auto}
table{border-collapse:collapse;width:100%}
caption,th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0}
th,td{border-bottom:1px solid #8886}
tbody th{font-weight:normal}
td:last-child{overflow-wrap:anywhere}
dt{font-weight:bold}
dd{margin:0 0 .5rem}
pre{overflow:auto;padding:.8rem;border:1px solid #8886}
"""
STYLE_HASH: Final = f"sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}"
"""The style of these pages, as a Content-Security-Policy names it."""

_REQUEST_ID: Final = "req_5f0c6a1be2d34987"
_CODE: Final = re.compile(r"`([^`]+)`")
_SAID_BY_ALL: Final[Mapping[str, str]] = {
    "type": "which problem it is; programs go by it",
    "title": "its name, the same each time",
    "status": "the HTTP status",
    "detail": "what is wrong this time, and what to do",
    "request_id": "the request, for whoever looks it up in the log",
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
_LIST: Final = """<main>
<h1>Problems</h1>
<p>What is refused is answered with a problem document (RFC 9457, <code>{media_type}</code>). Its
<code>type</code> is the path of a page here, and never changes: programs go by it.</p>
<table>
<caption>Every problem there is</caption>
<thead>
<tr><th scope="col">Problem</th><th scope="col">Status</th></tr>
</thead>
<tbody>
{rows}
</tbody>
</table>
</main>"""
_LIST_ROW: Final = '<tr><th scope="row"><a href="{path}">{title}</a></th><td>{status}</td></tr>'
_PROBLEM: Final = """<nav aria-label="Problems"><a href="{list_path}">All problems</a></nav>
<main>
<h1>{title}</h1>
<dl>
<dt>Status</dt><dd>{status}</dd>
<dt>Type</dt><dd><code>{path}</code></dd>
</dl>
<h2>What it means</h2>
<p>{meaning}</p>
<h2>What to do</h2>
<p>{remedy}</p>
<h2>What its document holds</h2>
{shape}<table>
<caption>Members</caption>
<thead>
<tr><th scope="col">Member</th><th scope="col">Type</th><th scope="col">Says</th></tr>
</thead>
<tbody>
{members}
</tbody>
</table>
<h2>An example</h2>
<pre tabindex="0" role="region" aria-label="An example of an answer"><code>{example}</code></pre>
</main>"""
_MEMBER: Final = '<tr><th scope="row"><code>{name}</code></th><td>{type}</td><td>{says}</td></tr>'


def list_page(rows: Iterable[ProblemType]) -> str:
    """Return the page that lists these problems, by status and title, as HTML."""
    listed = sorted(rows, key=lambda row: (row.status, row.title))
    body = "\n".join(
        _LIST_ROW.format(path=escape(row.path), title=escape(row.title), status=_status(row))
        for row in listed
    )
    return _page("Problems", _LIST.format(rows=body, media_type=MEDIA_TYPE))


def problem_page(row: ProblemType) -> str:
    """Return the page that a problem's type leads to, as HTML."""
    content, headers = row.render(example_of(row), _REQUEST_ID)
    document = json.loads(content)
    head = [f"HTTP/1.1 {_status(row)}", f"Content-Type: {MEDIA_TYPE}"]
    head += [f"{name}: {value}" for name, value in headers]
    example = "\n".join((*head, "", json.dumps(document, indent=2, ensure_ascii=False)))
    is_plain = row.shape is Problem
    body = _PROBLEM.format(
        list_path=LIST_PATH,
        title=escape(row.title),
        status=_status(row),
        path=escape(row.path),
        meaning=_prose(_first_paragraph(row.cause)),
        remedy=_remedy(row, document["detail"]),
        shape="" if is_plain else f"<p>{_prose(_whole_text(row.shape))}</p>\n",
        members="\n".join(_members(row.shape, document)),
        example=escape(example),
    )
    return _page(f"{row.title} ({row.status})", body)


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(f"{title} · creditd"), style=_STYLE, body=body)


def _status(row: ProblemType) -> str:
    return f"{row.status} {HTTPStatus(row.status).phrase}"


def _remedy(row: ProblemType, detail: str) -> str:
    if isinstance(row.detail, str):
        return _prose(detail)
    return "Its <code>detail</code> says it each time. In the example below: " + _prose(detail)


def _members(shape: type[Problem], document: Mapping[str, Any]) -> Iterable[str]:
    _, components = msgspec.json.schema_components([shape], ref_template="{name}")
    for name, schema in components[shape.__name__]["properties"].items():
        value = json.dumps(document[name], ensure_ascii=False)
        says = _SAID_BY_ALL.get(name) or f"such as <code>{escape(value)}</code>"
        yield _MEMBER.format(name=_breaking(name), type=escape(_type(schema)), says=says)


def _breaking(name: str) -> str:
    """Return a name as HTML that a narrow column may part after what joins its words."""
    return re.sub(r"([_-])", r"\1<wbr>", escape(name))


def _type(schema: Mapping[str, Any]) -> str:
    """Return in words what a member's schema allows."""
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("format") == "date-time":
        return "date and time"
    return str(schema.get("type", "object"))


def _first_paragraph(documented: type) -> str:
    return (documented.__doc__ or "").partition("\n\n")[0]


def _whole_text(documented: type) -> str:
    return documented.__doc__ or ""


def _prose(text: str) -> str:
    """Return a text of one line as HTML, what is within backquotes as code."""
    return _CODE.sub(r"<code>\1</code>", escape(" ".join(text.split())))
