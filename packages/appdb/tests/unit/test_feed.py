"""Topics of the change feed."""

from __future__ import annotations

import pytest

from appdb.feed import TASKS_READY, task_topic, topics_of


@pytest.mark.parametrize(
    ("change", "topics"),
    [
        ({"task_id": "t", "state": "queued"}, [task_topic("t"), TASKS_READY]),
        ({"task_id": "t", "state": "cancelled"}, [task_topic("t")]),
        ({"task_id": "t", "state": "processing"}, []),
        ({"task_id": "t", "state": None}, [task_topic("t")]),
    ],
)
def test_queued_change_wakes_claimers_others_their_task(change: dict[str, str | None], topics: list[str]) -> None:
    assert topics_of(change) == topics
