"""The little that is read by people."""

import html

from api.problems import ProblemType


def problem_page(row: ProblemType) -> str:
    """Return the page that a problem's type leads to, as HTML."""
    explanation = row.detail if isinstance(row.detail, str) else row.cause.__doc__ or row.title
    title = html.escape(row.title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>HTTP {row.status}, <code>{html.escape(row.path)}</code></p>"
        f"<p>{html.escape(explanation)}</p></html>"
    )
