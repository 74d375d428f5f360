"""The queue in memory and its clock, for users' own tests."""

from __future__ import annotations

import asyncio
import re
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appdb import Claimer, NewTask
from appdb.testing import InMemoryTaskQueue, ManualClock

README = Path(__file__).parents[3] / "README.md"
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
TASK = NewTask(owner_id="usr_a", actor="echo", payload={"text": "hello"})


async def test_test_in_readme_passes(tmp_path: Path) -> None:
    source = re.search(r"## Testing your own code.*?```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert source is not None
    file = tmp_path / "test_readme.py"
    file.write_text(source[1])
    names = runpy.run_path(str(file))

    await names["test_what_a_dead_worker_left_is_greeted_by_another"]()


def test_clock_stands_still_until_moved() -> None:
    clock = ManualClock(datetime(2030, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2030, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    clock.advance(timedelta(seconds=1, microseconds=1_999))

    assert clock.now() == datetime(2030, 1, 1, 12, 0, 1, 124_000, tzinfo=UTC)


def test_clock_without_start_begins_now() -> None:
    assert abs(ManualClock().now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_clock_never_goes_back() -> None:
    clock = ManualClock()
    before = clock.now()
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(timedelta(seconds=-1))

    assert clock.now() == before


async def test_queues_can_share_clock() -> None:
    clock = ManualClock()
    one, two = InMemoryTaskQueue(clock=clock), InMemoryTaskQueue(clock=clock)
    await two.enqueue(TASK)
    await two.claim(CLAIMER)
    one.advance(timedelta(seconds=31))

    assert len(await two.recover()) == 1
    assert await one.recover() == []


async def test_polling_loop_lets_others_work() -> None:
    queue = InMemoryTaskQueue()

    async def poll() -> int:
        while not (found := await queue.claim(CLAIMER)):
            pass
        return len(found)

    async with asyncio.timeout(10):
        polled, _ = await asyncio.gather(poll(), queue.enqueue(TASK))

    assert polled == 1


async def test_concurrent_claimers_never_share_task() -> None:
    queue = InMemoryTaskQueue()
    ids = await queue.enqueue_many([TASK] * 200)

    async def drain(limit: int) -> list[str]:
        taken: list[str] = []
        while tasks := await queue.claim(CLAIMER, limit=limit):
            taken += [task.id for task in tasks]
        return taken

    parts = await asyncio.gather(*(drain(1 + number % 5) for number in range(10)))

    assert sorted(task_id for part in parts for task_id in part) == sorted(ids)


async def test_due_maintenance_is_told() -> None:
    queue = InMemoryTaskQueue()
    await queue.enqueue(TASK)
    await queue.claim(CLAIMER)
    await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}, delay=timedelta(seconds=40)))
    early = await queue.maintenance_due(horizon=timedelta(seconds=5))
    queue.advance(timedelta(seconds=38))
    late = await queue.maintenance_due(horizon=timedelta(seconds=5))

    assert (early.recover, early.expire, early.promote_in) == (False, False, None)
    assert (late.recover, late.expire, late.promote_in) == (True, False, timedelta(seconds=2))
