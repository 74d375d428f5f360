"""The thirteen promises of the queue, each as far as a queue alone can show it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from appdb import AttemptWrite, Completed, ConflictError, Lease, LeaseLostError, Limit, Task, TaskEventType, TaskState
from appsupport.queue.queue_contract import CHUNK, OWNER, STARTED, Subject, claimer, new_task, numbered

NOW = timedelta(0)


async def test_promise_1_acknowledged_enqueue_is_durable_and_idempotent(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(unique_key="k"))
    elsewhere = subject.elsewhere()

    assert await elsewhere.get(task.id, owner_id=OWNER) == task
    assert (await elsewhere.enqueue(new_task(unique_key="k"))).id == task.id
    assert [found.id for found in await elsewhere.claim(claimer())] == [task.id]


async def test_promise_2_lost_lease_writes_nothing(subject: Subject) -> None:
    task, old = await subject.claimed()
    assert await subject.elsewhere().claim(claimer("w2")) == []
    await subject.lose_lease()
    await subject.queue.recover()
    (held,) = await subject.elsewhere().claim(claimer("w2"))
    with pytest.raises(LeaseLostError, match="attempt 1"):
        await subject.queue.complete(old, {"by": "zombie"})

    assert await subject.queue.renew([old]) == {old}
    assert await subject.get(task) == held


async def test_promise_3_outcome_is_atomic_and_idempotent(subject: Subject) -> None:
    task, lease = await subject.claimed()
    watcher = asyncio.create_task(watch_until_final(subject, task))
    for _ in range(2):
        await subject.queue.complete(lease, {"n": 1}, events=[CHUNK])
    seen = await watcher

    assert [each for each in seen if each.final and not (each.has_result and each.has_event)] == []
    assert [each for each in seen if not each.final and each.has_result] == []
    assert await subject.log(task) == [TaskEventType.CHUNK, TaskEventType.COMPLETED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A completion as a reader sees it: the task first, then its log."""

    final: bool
    has_result: bool
    has_event: bool


async def watch_until_final(subject: Subject, task: Task) -> list[Seen]:
    """Read the task and its log over and over, until the task is final."""
    seen: list[Seen] = []
    while not seen or not seen[-1].final:
        found, events = await subject.get(task), await subject.queue.events(task.id)
        ended = TaskEventType.COMPLETED in {event.type for event in events}
        seen.append(Seen(final=found.state.final, has_result=found.result == {"n": 1}, has_event=ended))
    return seen


async def test_promise_4_order_and_limits_hold_over_claimers(subject: Subject) -> None:
    one = Limit(key="provider:x", concurrency=1)
    for number, priority in enumerate([0, 2, 0, 2]):
        await subject.queue.enqueue(numbered(number, priority=priority))
    for number in range(4, 8):
        await subject.queue.enqueue(numbered(number, priority=-1, limits=(one,)))
    order = [task.payload["n"] for _ in range(4) for task in await subject.claim()]
    claims = await asyncio.gather(*(subject.elsewhere().claim(claimer(f"w{n}")) for n in range(4)))
    late = await subject.claim(4)

    assert order == [1, 3, 0, 2]
    assert sum(map(len, claims)) + len(late) == 1


async def test_promise_5_only_queues_clock_is_trusted(subject: Subject) -> None:
    before = await subject.now()
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED], seq=0)
    await subject.queue.complete(lease)
    done = await subject.get(task)
    after = await subject.now()
    times = [done.created_at, done.run_at, done.started_at, done.updated_at, done.finished_at]
    times += [event.at for event in await subject.queue.events(task.id)]

    assert all(time is not None and before <= time <= after for time in times)
    assert all(time is not None and time.tzinfo is not None for time in times)


async def test_promise_6_dead_workers_task_runs_again(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(max_attempts=2))
    for attempt in (1, 2):
        (held,) = await subject.claim(by=f"w{attempt}")
        assert held.attempt == attempt
        await subject.queue.append_events(Lease.of(held), [STARTED], seq=held.event_count)
        assert await subject.queue.recover() == []
        await subject.lose_lease()
        await subject.queue.recover()
    dead = await subject.get(task)
    replayed = await subject.queue.replay(task.id, owner_id=OWNER)

    assert (dead.state, dead.attempt, [error.attempt for error in dead.errors]) == (TaskState.FAILED, 2, [1, 2])
    assert await subject.log(task) == [
        TaskEventType.STARTED,
        TaskEventType.RETRYING,
        TaskEventType.STARTED,
        TaskEventType.FAILED,
    ]
    assert replayed.state is TaskState.QUEUED


async def test_promise_7_retry_waits_and_final_failure_stays(subject: Subject) -> None:
    later, lease = await subject.claimed()
    await subject.queue.fail(lease, "Busy", "retry after", retry_in=timedelta(seconds=50))
    never, lease = await subject.claimed()
    await subject.queue.fail(lease, "Invalid", "not worth retrying", retry_in=None)
    assert (await subject.queue.promote(), await subject.claim(5)) == (0, [])
    await subject.pass_time(60)
    await subject.queue.promote()

    assert [task.id for task in await subject.claim(5)] == [later.id]
    assert await subject.state(never) is TaskState.FAILED


async def test_promise_8_cancelled_task_never_completes(subject: Subject) -> None:
    task, lease = await subject.claimed()
    cancelled = await subject.queue.cancel(task.id, owner_id=OWNER)
    with pytest.raises(LeaseLostError):
        await subject.queue.complete(lease)
    lost = await subject.queue.commit([AttemptWrite(lease=lease, outcome=Completed())])
    with pytest.raises(ConflictError):
        await subject.queue.cancel((await subject.failed()).id, owner_id=OWNER)

    assert lost == {lease}
    assert await subject.queue.renew([lease]) == {lease}
    assert await subject.get(task) == cancelled


async def test_promise_9_polling_finds_everything_due(subject: Subject) -> None:
    released, lease = await subject.claimed()
    await subject.queue.release(lease)
    delayed = await subject.queue.enqueue(new_task(delay=timedelta(seconds=10)))
    lost, _ = await subject.claimed(queue="lost")
    await subject.lose_lease()
    poller = subject.elsewhere()
    await poller.promote()
    await poller.recover()
    found = await poller.claim(claimer(queues=("default", "lost")), limit=10)

    assert {task.id for task in found} == {released.id, delayed.id, lost.id}


async def test_promise_10_delays_pauses_timeouts_and_continuations(subject: Subject) -> None:
    following = new_task(queue="next", timeout=timedelta(seconds=5))
    task = await subject.queue.enqueue(new_task(delay=timedelta(seconds=10), then=(following,)))
    await subject.pass_time(20)
    await subject.queue.promote()
    await subject.queue.pause("default")
    assert await subject.claim() == []
    await subject.queue.resume("default")
    (held,) = await subject.claim()
    await subject.queue.complete(Lease.of(held))
    (next_one,) = await subject.claim(queues=("next",))

    assert held.id == task.id
    assert next_one.timeout_seconds == 5


async def test_promise_11_concurrent_maintenance_is_idempotent(subject: Subject) -> None:
    lost, _ = await subject.claimed()
    await subject.queue.enqueue(new_task(delay=timedelta(seconds=10)))
    expired = await subject.queue.enqueue(new_task(queue="nobody", expires_in=timedelta(seconds=10)))
    await subject.lose_lease()

    async def sweep() -> tuple[int, int, int]:
        queue = subject.elsewhere()
        return await queue.promote(), len(await queue.recover()), len(await queue.expire())

    sweeps = await asyncio.gather(*(sweep() for _ in range(4)))

    assert [sum(column) for column in zip(*sweeps, strict=True)] == [1, 1, 1]
    assert await sweep() == (0, 0, 0)
    assert await subject.log(lost) == [TaskEventType.RETRYING]
    assert await subject.log(expired) == [TaskEventType.FAILED]


async def test_promise_12_nothing_grows_without_bound(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(max_attempts=30))
    for _ in range(12):
        (held,) = await subject.claim()
        await subject.queue.fail(Lease.of(held), "E", "m" * 9_000, retry_in=NOW)
    await subject.queue.cancel(task.id, owner_id=OWNER)
    final = await subject.get(task)
    await subject.pass_time(5)
    pruned = await subject.queue.prune(older_than=NOW)

    assert len(final.errors) == 10
    assert all(len(error.message) == 4_000 for error in final.errors)
    assert pruned == 1
    assert await subject.queue.page(owner_id=OWNER) == []
    assert await subject.queue.events(task.id) == []


async def test_promise_13_every_write_can_be_repeated(subject: Subject) -> None:
    first = [await subject.queue.enqueue(new_task(task_id="tq_1")) for _ in range(2)]
    (held,) = await subject.claim()
    lease = Lease.of(held)
    for _ in range(2):
        await subject.queue.append_events(lease, [STARTED], seq=0)
    for _ in range(2):
        await subject.queue.save_step(lease, "step", 1)
    children = {await subject.queue.spawn(lease, "child", new_task(queue="below")) for _ in range(2)}
    for _ in range(2):
        await subject.queue.complete(lease, {"n": 1}, events=[CHUNK])
    replays = {(await subject.queue.replay("tq_1", owner_id=OWNER, key="k")).id for _ in range(2)}

    assert first[0] == first[1]
    assert len(children) == len(replays) == 1
    assert (await subject.get("tq_1")).children_open == 1
    assert await subject.log("tq_1") == [TaskEventType.STARTED, TaskEventType.CHUNK, TaskEventType.COMPLETED]
