"""The pages that explain problems: all are listed, each teaches, and none is scripted."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from live_api import LiveApi

from api.problems.examples import example_of
from api.problems.pages import list_page, problem_page
from api.problems.problem_type import ProblemType
from api.problems.refusals import Malformed
from api.problems.table import BY_CODE, TYPES

VOID = {"meta", "link", "br", "wbr"}
# A third of a telephone 400 pixels wide, in the letters of code.
UNBROKEN_MAX = 15
EVERY_ROW = pytest.mark.parametrize("row", TYPES, ids=lambda row: row.code)


class Page(HTMLParser):
    """What a page holds: its elements, what they say, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: dict[str, list[str]] = {}
        self.links: list[str] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes[tag] = dict(attrs)
        if tag == "a":
            self.links.append(str(dict(attrs)["href"]))
        if tag not in VOID:
            self.open.append(tag)
            self.said.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.said[tag][-1] += data


def sound(text: str) -> Page:
    """A page whose elements are closed, in a language, a title, and nothing it may not have."""
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert page.open == []
    assert page.attributes["html"] == {"lang": "en"}
    assert page.said["title"][0]
    assert len(page.said["h1"]) == len(page.said["main"]) == 1
    assert all(page.said["caption"])
    assert len(page.said["style"]) == 1
    assert not {"script", "img", "link", "form"} & set(page.said)
    assert not any({"style", "onclick", "src"} & set(each) for each in page.attributes.values())
    return page


@EVERY_ROW
def test_a_page_says_what_a_problem_means_and_what_to_do(row: ProblemType) -> None:
    page = sound(problem_page(row))
    assert page.said["h1"] == [row.title]
    assert page.links == ["/problems"]
    assert page.said["h2"] == [
        *("What it means", "What to do", "What its document holds", "An example"),
    ]
    meaning, remedy, *_ = page.said["p"]
    for sentence in (meaning, remedy):
        assert sentence.endswith(".")
        assert "`" not in sentence
        assert "(" not in sentence.partition(" ")[0], "a dataclass without a docstring"


@EVERY_ROW
def test_the_example_of_a_page_is_a_document_of_its_shape(row: ProblemType) -> None:
    page = sound(problem_page(row))
    (example,) = page.said["pre"]
    head, _, body = example.partition("\n\n")
    assert head.startswith(f"HTTP/1.1 {row.status} ")
    assert "Content-Type: application/problem+json" in head
    msgspec.json.decode(body, type=row.shape)
    document = json.loads(body)
    assert (document["type"], document["status"]) == (row.path, row.status)
    listed = [said for said in page.said["th"] if said in document]
    assert listed == list(document)
    assert isinstance(example_of(row), row.cause)


def test_all_problems_are_listed_by_status() -> None:
    page = sound(list_page(TYPES))
    assert sorted(page.links) == sorted(row.path for row in TYPES)
    statuses = [BY_CODE[link.removeprefix("/problems/")].status for link in page.links]
    assert statuses == sorted(statuses)


def test_no_column_is_wider_than_a_third_of_a_telephone() -> None:
    for text in (list_page(TYPES), *map(problem_page, TYPES)):
        # A member's last cell parts anywhere, by the style; a cell before it where its words end.
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>(?=<t)", text)
        assert cells
        for cell in cells:
            words = re.split(r"<wbr>|<[^>]*>|[\s-]", cell)
            assert max(map(len, words)) <= UNBROKEN_MAX, cell


def test_what_a_problem_says_is_no_markup() -> None:
    hostile = "<script>`<i>`</script>."
    text = problem_page(
        ProblemType(cause=Malformed, code="x", status=400, title="<b>&", detail=hostile)
    )
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;<code>&lt;i&gt;</code>" in text


def test_the_pages_are_served_with_a_strict_policy(api: LiveApi) -> None:
    listed = api.get("/problems")
    links = Page(listed.text).links
    assert len(links) == len(TYPES)
    for answer in (listed, *(api.get(link) for link in links)):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        (style,) = Page(answer.text).said["style"]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
        )
    assert api.get("/problems/none").status_code == 404
