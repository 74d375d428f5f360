"""Parents and children: a parent gives its slot away while its children run, and goes on where it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from appdb import TaskEventType, TaskState
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks


async def test_suspended_parent_frees_slot_and_repeats_nothing(
    start_worker: StartWorker, tasks: Tasks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    start_worker(slots=1)
    parent = await tasks.add("probe.parent", items=3, ledger=str(ledger))
    done = await tasks.final(parent)
    children = await tasks.queue.children(parent.id, owner_id=OWNER)
    lines = Counter(line.split()[0] for line in ledger.read_text().splitlines())

    assert (done.state, done.result, done.attempt) == (TaskState.COMPLETED, {"items": 3}, 1)
    assert [(child.state, child.parent_id) for child in children] == [(TaskState.COMPLETED, parent.id)] * 3
    # The parent began twice, its step ran once, and each child ran once.
    assert lines == {parent.id: 2, "begun": 1} | {child.id: 1 for child in children}
    types = [event.type for event in await tasks.queue.events(parent.id)]
    assert types.count(TaskEventType.SUSPENDED) == 1
    assert types[-1] is TaskEventType.COMPLETED


async def test_cancelling_suspended_parent_cancels_children(
    start_worker: StartWorker, tasks: Tasks, tmp_path: Path
) -> None:
    host = start_worker(slots=1)
    parent = await tasks.add("probe.parent", items=2, seconds=20, ledger=str(tmp_path / "ledger"))
    await tasks.until(parent, lambda found: found.waiting)
    host.process.kill()
    cancelled = await tasks.queue.cancel(parent.id, owner_id=OWNER)
    children = await tasks.queue.children(parent.id, owner_id=OWNER)

    assert cancelled.state is TaskState.CANCELLED
    assert [child.state for child in children] == [TaskState.CANCELLED] * 2
