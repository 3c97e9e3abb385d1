"""A row of the table of problems: a type of problem (RFC 9457) and the cause it stands for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from api.problems import details
from api.problems.refusals import Cause

Headers = tuple[tuple[str, str], ...]
MEDIA_TYPE: Final = "application/problem+json"


def _no_members(_cause: object) -> dict[str, object]:
    return {}


def _no_headers(_cause: object) -> Headers:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A type of problem and the cause it stands for.

    `detail` is a sentence or makes one of the cause; `members` and `headers` are what the problem
    carries beside the members of RFC 9457.
    """

    cause: type
    code: str
    status: int
    title: str
    detail: str | Callable[[Any], str]
    shape: type[details.Problem] = details.Problem
    members: Callable[[Any], dict[str, object]] = _no_members
    headers: Callable[[Any], Headers] = _no_headers

    @property
    def path(self) -> str:
        """The problem's type, a reference to its page."""
        return f"/problems/{self.code}"

    def render(self, cause: Cause, request_id: str) -> tuple[bytes, Headers]:
        """Return the problem's body as JSON, and its headers."""
        detail = self.detail if isinstance(self.detail, str) else self.detail(cause)
        body = self.shape(
            type=self.path,
            title=self.title,
            status=self.status,
            detail=detail,
            request_id=request_id,
            **self.members(cause),
        )
        return msgspec.json.encode(body), self.headers(cause)
