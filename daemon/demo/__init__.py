"""The whole story on one machine, with nothing faked: `creditd demo`.

A chain of its own (anvil), the project's contracts on it, the books in a PostgreSQL that is thrown
away, `creditd watch` and `creditd serve` as they always run, and an app that sells two operations.
What the demo prints and checks it learned through the front doors: the HTTP API and JSON-RPC.
"""

import sys
from typing import Final

# What only the demo's sample app needs, and a bare installation of creditd may lack.
_OF_THE_CLIENT: Final = frozenset({"creditd_client", "httpx2"})


def run(*, check: bool) -> int:
    """Tell the story and keep running until Ctrl-C; with `check`, tell it once and end.

    Returns 0 if all was as expected, 1 if a step failed (it says which, and what was expected and
    found), 2 if the demo cannot be given here, 130 for a check that was interrupted. Raises
    AnvilMissing, AnvilFailed and LedgerError.
    """
    try:
        from daemon.demo.program import perform  # noqa: PLC0415 - nobody else pays for its imports
    except ModuleNotFoundError as error:
        if error.name not in _OF_THE_CLIENT:
            raise
        print(
            f"creditd: the demo's sample app needs {error.name}, which is not installed:"
            " run `make setup`, or install the package in client/",
            file=sys.stderr,
        )
        return 2
    return perform(check=check)
