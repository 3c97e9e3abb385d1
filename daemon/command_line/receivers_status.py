"""How it stands with the receivers, for a terminal and for scripts."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.outbox import ReceiverRow

WIDTH: Final = 100


def receivers_as_json(rows: Sequence[ReceiverRow]) -> str:
    """Return the rows for scripts; times are RFC 3339."""
    return json.dumps(
        [asdict(row) for row in rows], indent=2, default=lambda time: time.isoformat()
    )


def receivers_as_text(rows: Sequence[ReceiverRow]) -> str:
    """Return the rows as a table, and below it what was wrong with the last tries."""
    if not rows:
        return "no receivers: name them under [[webhooks]]"
    table = Table("receiver", "waiting", "since", "dead")
    for row in rows:
        since = "" if row.waiting_since is None else f"{row.waiting_since:%Y-%m-%d %H:%M:%S} UTC"
        name = f"{row.name} (left)" if row.left else row.name
        table.add_row(name, str(row.waiting), since, str(row.dead))
    text = io.StringIO()
    console = Console(file=text, width=WIDTH)
    console.print(table)
    for row in rows:
        if row.said is not None:
            console.print(Text(f"{row.name}: {row.said}"))
    return text.getvalue().rstrip()
