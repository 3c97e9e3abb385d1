"""What `creditd exposure` prints."""

import json
from dataclasses import asdict

from ledger.credits import format_credits
from ledger.exposure import Exposure, ExposureReport
from ledger.ids import format_account

_COLUMNS = ("taken back", "owed", "absorbed", "reserved")


def exposure_as_json(report: ExposureReport) -> str:
    """Return the report as JSON; amounts are decimal strings of credits."""
    return json.dumps(
        {
            "total": _amounts(report.total),
            "accounts": [
                {"account": format_account(account), **_amounts(each)}
                for account, each in report.accounts.items()
            ],
        },
        indent=2,
    )


def exposure_as_text(report: ExposureReport) -> str:
    """Return the report as a table of credits, all accounts together last."""
    rows: list[tuple[str, ...]] = [("account", *_COLUMNS)]
    rows += [
        (format_account(account), *_amounts(each).values())
        for account, each in report.accounts.items()
    ]
    rows.append(("all", *_amounts(report.total).values()))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def total_as_json(report: ExposureReport) -> dict[str, str]:
    """Return what all accounts come to together, as decimal strings of credits."""
    return _amounts(report.total)


def _amounts(exposure: Exposure) -> dict[str, str]:
    return {name: format_credits(micro) for name, micro in asdict(exposure).items()}
