"""Work that takes long says from time to time how far it is, and how long it takes yet."""

import pytest
from structlog.testing import capture_logs

from daemon.rereading.progress import PROGRESS_SECONDS, Progress


def test_progress_is_told_with_its_rate_and_what_is_left_and_not_oftener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("daemon.rereading.progress.monotonic", lambda: now[0])
    progress = Progress("verified", "town", 100, 1_099, _began=now[0], _told=now[0])
    with capture_logs() as logs:
        for block in range(119, 351, 20):
            now[0] += PROGRESS_SECONDS / 5
            progress.at(block)
    assert [each["block"] for each in logs] == [199, 299]
    last = logs[-1]
    assert (last["chain"], last["of"], last["percent"]) == ("town", 1_099, 20)
    assert last["blocks_per_second"] == pytest.approx(20.0)
    assert last["seconds_left"] == 40
