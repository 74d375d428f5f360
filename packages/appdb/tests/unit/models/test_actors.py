"""New tasks of an announced actor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appdb import Limit, NewTask
from appdb.models import RegisteredActor, TaskLimit

LIMIT = Limit(key="provider:local", concurrency=2, rate=60, per=timedelta(minutes=1))


@pytest.fixture
def actor() -> RegisteredActor:
    return RegisteredActor(
        _id="render",
        version=3,
        queue="pictures",
        description="",
        payload_schema={},
        max_attempts=5,
        timeout_seconds=90.5,
        limits=[TaskLimit.of(LIMIT)],
        seen_at=datetime(2026, 3, 14, tzinfo=UTC),
    )


def test_new_task_takes_announced_values(actor: RegisteredActor) -> None:
    assert actor.new_task({"scene": 1}, owner_id="usr_1") == NewTask(
        owner_id="usr_1",
        actor="render",
        actor_version=3,
        payload={"scene": 1},
        queue="pictures",
        max_attempts=5,
        timeout=timedelta(seconds=90.5),
        limits=(LIMIT,),
    )


def test_new_task_takes_callers_values(actor: RegisteredActor) -> None:
    new = actor.new_task({}, owner_id="usr_1", queue="nightly", priority=-2, unique_key="scene-1")

    assert (new.queue, new.priority, new.unique_key) == ("nightly", -2, "scene-1")
