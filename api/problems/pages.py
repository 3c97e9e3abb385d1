"""The page that explains a type of problem to people."""

import html

from api.problems.problem_type import ProblemType


def problem_page(row: ProblemType) -> str:
    """Return the page that a problem's type leads to, as HTML."""
    if isinstance(row.detail, str):
        explanation = row.detail
    else:  # a detail that needs a request: the cause's first sentence stands for it
        explanation = (row.cause.__doc__ or row.title).partition("\n")[0]
    title = html.escape(row.title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>HTTP {row.status}, <code>{html.escape(row.path)}</code></p>"
        f"<p>{html.escape(explanation)}</p></html>"
    )
