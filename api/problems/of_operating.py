"""Problems of what operators have done on the operator's port."""

from typing import Final

from api.caching import NO_STORE
from api.problems import details, refusals
from api.problems.problem_type import ProblemType
from ledger import outcomes

UNDER_WAY_RETRY_SECONDS: Final = 10  # of a few logs it takes two or three, of many some minutes
CUT_SHORT_RETRY_SECONDS: Final = 5  # a node that restarts takes a few


TYPES: Final = (
    ProblemType(
        cause=outcomes.NoSuchSource,
        code="no-such-source",
        status=404,
        title="No such source",
        detail=lambda cause: (
            f"The books know no source {cause.name}, and nothing was done: GET /v1/sources lists"
            " those that they know. One that is new in the configuration comes in by its watcher."
        ),
    ),
    ProblemType(
        cause=refusals.ReplaysNotOffered,
        code="replays-not-offered",
        status=501,
        title="Replays not offered",
        detail="This process cannot decode logs again, and nothing was done: `creditd replay` does"
        " it where the configuration is, and so does the port of `creditd serve`.",
    ),
    ProblemType(
        cause=refusals.ReplayUnderWay,
        code="replay-under-way",
        status=503,
        title="Replay under way",
        detail="This process decodes logs again already, one replay at a time, and nothing was"
        " done: ask again after Retry-After seconds.",
        headers=lambda _cause: (("Retry-After", str(UNDER_WAY_RETRY_SECONDS)), NO_STORE),
    ),
    ProblemType(
        cause=refusals.ReplayNotCarriedOut,
        code="replay-not-carried-out",
        status=409,
        title="Replay not carried out",
        detail=lambda cause: (
            f"It could not be carried out: {cause.said}. Mend that, then ask again: what is granted"
            " already is not granted again."
        ),
    ),
    ProblemType(
        cause=refusals.ReplayCutShort,
        code="replay-cut-short",
        status=503,
        title="Replay cut short",
        detail=lambda cause: (
            f"Not all logs were decoded again: {cause.said}. What was granted stays, and is not"
            " granted again: send the same after Retry-After seconds, for what is left."
        ),
        shape=details.ReplayCutShort,
        members=lambda cause: {"granted_events": cause.granted_events},
        headers=lambda _cause: (("Retry-After", str(CUT_SHORT_RETRY_SECONDS)), NO_STORE),
    ),
)
