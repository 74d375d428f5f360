"""The queue snapshot: what a claimer knows of others before it claims."""

from __future__ import annotations

from collections import Counter
from typing import Any

from appdb import Claimer, Database, NewTask, TaskQueue
from appdb._queries.task_claims import SAMPLED_LEASES
from appdb.queue.queue_snapshot import MAX_GROUPS, MAX_REMEMBERED, QueueSnapshot

OTHERS = 3
MINE = SAMPLED_LEASES + 36
BOTH = Claimer(worker_id="me", queues=("b", "a"), handlers=("echo@1", "paint@1"))


def claimer(name: str) -> Claimer:
    return Claimer(worker_id=name, queues=("default",), handlers=("echo@1",))


def waiting(owner: str, **changes: Any) -> NewTask:
    return NewTask(**({"owner_id": owner, "actor": "echo", "payload": {}} | changes))


async def test_competitor_is_seen_behind_own_leases(database: Database) -> None:
    queue = TaskQueue(database)
    await queue.enqueue_many([NewTask(owner_id="usr_a", actor="echo", payload={})] * (OTHERS + MINE))
    assert len(await queue.claim(claimer("competitor"), limit=OTHERS)) == OTHERS
    assert len(await queue.claim(claimer("me"), limit=MINE)) == MINE

    snapshot = QueueSnapshot(database)
    snapshot.serve(claimer("me"))
    await snapshot.refresh()

    assert snapshot.competitors == {"competitor"}


async def test_snapshots_cover_all_groups_in_rounds(database: Database) -> None:
    lanes = [{"queue": queue, "actor": actor} for queue in ("a", "b") for actor in ("echo", "paint")]
    new = [waiting(f"usr_{number:03}", **lane) for number in range(130) for lane in lanes]
    await TaskQueue(database).enqueue_many(new)
    snapshot = QueueSnapshot(database)
    snapshot.serve(BOTH)
    seen, snapshots = set(), 0
    while not (snapshots and snapshot.all_seen):
        await snapshot.refresh()
        snapshots += 1
        seen |= {head.group for head in snapshot.heads}

    assert len(seen) == len(new)
    assert snapshots == snapshot.round == len(new) // MAX_GROUPS + 1


async def test_vanished_group_is_forgotten(database: Database) -> None:
    queue, snapshot = TaskQueue(database), QueueSnapshot(database)
    snapshot.serve(BOTH)
    await queue.enqueue_many([waiting(f"usr_{number:03}", queue="a") for number in range(MAX_GROUPS + 50)])
    for _ in range(2):
        await snapshot.refresh()
    assert len(snapshot.heads) == MAX_GROUPS + 50
    taken = await queue.claim(BOTH, limit=10)
    for _ in range(2):
        await snapshot.refresh()

    assert len(snapshot.heads) == MAX_GROUPS + 50 - len({task.owner_id for task in taken})


async def test_remembered_groups_are_bounded(database: Database) -> None:
    queue, snapshot = TaskQueue(database), QueueSnapshot(database)
    snapshot.serve(BOTH)
    for thousand in range(3):
        await queue.enqueue_many([waiting(f"usr_{thousand}_{number:03}", queue="a") for number in range(1_000)])
    for _ in range(3_000 // MAX_GROUPS + 1):
        await snapshot.refresh()

    assert len(snapshot.heads) == MAX_REMEMBERED
    assert snapshot.all_seen


async def test_highest_priority_is_seen_at_once(database: Database) -> None:
    queue = TaskQueue(database)
    await queue.enqueue_many([waiting(f"usr_{number:04}", queue="a") for number in range(900)])
    assert len(await queue.claim(BOTH, limit=2)) == 2
    first = await queue.enqueue(waiting("zz_last", queue="b", priority=100))
    queue.invalidate_snapshot()

    assert [task.id for task in await queue.claim(BOTH)] == [first.id]


async def test_every_owner_is_served_in_round(database: Database) -> None:
    queue = TaskQueue(database)
    lines = [(f"usr_{number:03}", "ab"[number % 2]) for number in range(450)]
    for some in (lines[:225], lines[225:]):
        await queue.enqueue_many([waiting(owner, queue=name) for owner, name in some for _ in range(20)])
    served: Counter[str] = Counter()
    # As many snapshots as see them all, and a turn for everybody after each.
    for _ in range(len(lines) // MAX_GROUPS + 1):
        queue.invalidate_snapshot()
        for _ in range(len(lines) // 8 + 1):
            served.update(task.owner_id for task in await queue.claim(BOTH, limit=8))

    assert len(served) == len(lines)
    assert max(served.values()) <= 6
