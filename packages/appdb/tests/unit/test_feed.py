"""Topics of the change feed."""

from __future__ import annotations

import pytest

from appdb.feed import TASKS_READY, questions_topic, run_topic, runs_topic, task_topic, topics_of


@pytest.mark.parametrize(
    ("change", "topics"),
    [
        ({"task_id": "t", "state": "queued"}, [task_topic("t"), TASKS_READY]),
        ({"task_id": "t", "state": "cancelled"}, [task_topic("t")]),
        ({"task_id": "t", "state": "processing"}, []),
        ({"task_id": "t", "state": None}, [task_topic("t")]),
        ({"run_id": "r", "owner_id": None}, [run_topic("r")]),
        ({"run_id": "r", "owner_id": "usr_a"}, [run_topic("r"), runs_topic("usr_a")]),
        ({"run_id": "r", "asks": ["q", "p"]}, [run_topic("r"), questions_topic("q"), questions_topic("p")]),
    ],
)
def test_change_wakes_those_whom_it_concerns(change: dict[str, str | list[str] | None], topics: list[str]) -> None:
    assert topics_of(change) == topics
