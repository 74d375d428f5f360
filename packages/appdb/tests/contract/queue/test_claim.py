"""Claims: the tasks that are given, and their order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from appdb import Lease, Limit, TaskState
from appsupport.queue.queue_contract import LEASE, OTHER, OWNER, Subject, claimer, new_task, numbered


async def test_claim_counts_attempt_and_holds_lease(subject: Subject) -> None:
    await subject.queue.enqueue(new_task())
    (task,) = await subject.claim(by="w7")

    assert (task.state, task.attempt) == (TaskState.PROCESSING, 1)
    assert task.lease is not None
    assert task.started_at is not None
    assert (task.lease.worker_id, task.lease.expires_at - task.started_at) == ("w7", LEASE)
    assert await subject.get(task) == task


async def test_claim_returns_nothing_when_nothing_is_due(subject: Subject) -> None:
    assert await subject.claim() == []
    assert await subject.claim(10) == []


async def test_every_claim_has_its_own_token(subject: Subject) -> None:
    _, first = await subject.claimed()
    await subject.queue.release(first)
    (again,) = await subject.claim()

    assert Lease.of(again).token != first.token


async def test_claim_gives_at_most_the_limit(subject: Subject) -> None:
    await subject.queue.enqueue_many([numbered(n) for n in range(5)])

    assert [len(await subject.claim(limit)) for limit in (3, 3, 3)] == [3, 2, 0]


async def test_claim_order_is_priority_then_age(subject: Subject) -> None:
    for number, priority in enumerate([0, 5, 0, 5, -1, 9]):
        await subject.queue.enqueue(numbered(number, priority=priority))
    one_by_one = [(await subject.claim())[0] for _ in range(3)]
    together = await subject.claim(3)

    assert [task.payload["n"] for task in [*one_by_one, *together]] == [5, 1, 3, 0, 2, 4]


async def test_claimer_gets_only_declared_tasks(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(actor_version=2))
    await subject.queue.enqueue(new_task(queue="other"))
    await subject.queue.enqueue(new_task(actor="paint"))

    assert await subject.claim() == []
    assert await subject.claim(10) == []
    found = await subject.queue.claim(claimer("w1", "echo@2", "paint@1"), limit=10)
    assert {(task.actor, task.actor_version) for task in found} == {("echo", 2), ("paint", 1)}


async def test_claim_over_several_queues_follows_priority(subject: Subject) -> None:
    for number, queue in enumerate(["a", "b", "a", "b"]):
        await subject.queue.enqueue(numbered(number, queue=queue, priority=number))
    found = await subject.claim(10, queues=("a", "b"))

    assert [task.payload["n"] for task in found] == [3, 2, 1, 0]


async def test_concurrent_claimers_never_share_task(subject: Subject) -> None:
    ids = await subject.queue.enqueue_many([numbered(n) for n in range(60)])

    async def drain(name: str, limit: int) -> list[str]:
        mine = subject.elsewhere()
        taken: list[str] = []
        while tasks := await mine.claim(claimer(name), limit=limit):
            taken += [task.id for task in tasks]
        return taken

    parts = await asyncio.gather(*(drain(f"w{n}", 1 if n % 2 else 7) for n in range(6)))
    taken = [task_id for part in [*parts, await drain("last", 1)] for task_id in part]

    assert sorted(taken) == sorted(ids)


async def test_owners_alternate_when_one_floods(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task() for _ in range(400)])
    few = set(await subject.queue.enqueue_many([new_task(owner_id=OTHER) for _ in range(4)]))
    taken = [task.id for _ in range(8) for task in await subject.claim(10)]

    assert few <= set(taken)


async def test_fair_share_never_precedes_priority(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task(priority=1) for _ in range(300)])
    await subject.queue.enqueue_many([new_task(owner_id=OTHER) for _ in range(4)])
    taken = [task for _ in range(5) for task in await subject.claim(10)]

    assert {task.owner_id for task in taken} == {OWNER}


async def test_paused_queue_gives_nothing_others_do(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(queue="a"))
    other = await subject.queue.enqueue(new_task(queue="b"))
    await subject.queue.pause("a")

    assert await subject.queue.paused() == {"a"}
    assert await subject.claim(queues=("a",)) == []
    assert [task.id for task in await subject.claim(10, queues=("a", "b"))] == [other.id]


async def test_resumed_queue_gives_again(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task())
    for change in (subject.queue.pause, subject.queue.pause, subject.queue.resume, subject.queue.resume):
        await change("default")

    assert await subject.queue.paused() == set()
    assert [found.id for found in await subject.claim()] == [task.id]


async def test_pause_reaches_other_processes_within_second(subject: Subject) -> None:
    elsewhere = subject.elsewhere()
    await elsewhere.claim(claimer())
    await subject.queue.pause("default")
    await subject.let_others_hear()
    await subject.queue.enqueue(new_task())

    assert await elsewhere.claim(claimer()) == []
    assert await elsewhere.paused() == {"default"}


async def test_paused_queue_lets_running_tasks_finish(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.pause("default")
    assert await subject.queue.renew([lease]) == set()
    await subject.queue.complete(lease)

    assert await subject.state(task) is TaskState.COMPLETED


async def test_expired_task_is_never_claimed(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(expires_in=timedelta(seconds=20)))
    await subject.pass_time(30)

    assert await subject.claim() == []
    assert await subject.claim(10) == []
    assert await subject.state(task) is TaskState.QUEUED


async def test_task_claimed_in_time_does_not_expire(subject: Subject) -> None:
    task, lease = await subject.claimed(expires_in=timedelta(seconds=50))
    await subject.pass_time(60)
    assert await subject.queue.expire() == []
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))

    assert await subject.queue.expire() == []
    assert [found.id for found in await subject.claim()] == [task.id]


async def test_waiting_owners_alternate_within_priority(subject: Subject) -> None:
    await subject.queue.enqueue_many([numbered(n) for n in range(4)])
    await subject.queue.enqueue_many([numbered(n, owner_id=OTHER) for n in range(10, 12)])
    subject.queue.invalidate_snapshot()
    taken = await subject.claim(6)

    assert [task.payload["n"] for task in taken] == [0, 10, 1, 11, 2, 3]


async def test_claim_finds_newcomer_after_waiting_tasks_vanish(subject: Subject) -> None:
    for _ in range(3):
        await subject.let_others_hear()  # so that the next claim looks up who waits
        for owner in (OWNER, OTHER):
            await subject.queue.enqueue(new_task(owner_id=owner))
        served = await subject.claim(2)
        assert {task.owner_id for task in served} == {OWNER, OTHER}
        for task in served:
            await subject.queue.complete(Lease.of(task))
        newcomer = await subject.queue.enqueue(new_task(owner_id="usr_c"))

        (found,) = await subject.claim()
        assert found.id == newcomer.id
        await subject.queue.complete(Lease.of(found))


async def test_claim_sees_changes_since_last_snapshot(
    subject: Subject,
) -> None:
    await subject.let_others_hear()
    first = [await subject.queue.enqueue(new_task(owner_id=owner)) for owner in (OWNER, OTHER)]
    assert len(await subject.claim()) == 1
    for task in first:
        await subject.queue.cancel(task.id, owner_id=task.owner_id)
    moved = await subject.queue.enqueue(new_task(owner_id="usr_c", queue="b"))

    assert [task.id for task in await subject.claim(queues=("a", "b"))] == [moved.id]
    await subject.queue.enqueue(new_task(owner_id="usr_d", actor="paint"))
    assert await subject.claim(10, queues=("a", "b", "default")) == []


async def test_claimer_of_other_handlers_gets_nothing_undeclared(subject: Subject) -> None:
    for owner in (OWNER, OTHER, "usr_c"):
        await subject.queue.enqueue(new_task(owner_id=owner))
    assert len(await subject.claim()) == 1

    assert await subject.queue.claim(claimer("w1", "paint@1"), limit=5) == []
    assert len(await subject.claim(5)) == 2


async def test_newcomer_is_served_beside_eighty_limited_owners(subject: Subject) -> None:
    for number in range(80):
        limits = (Limit(key=f"user:{number}", concurrency=1),)
        await subject.queue.enqueue_many([new_task(owner_id=f"owner_{number:02}", limits=limits)] * 2)
    running = [task for _ in range(20) for task in await subject.claim(20)]
    assert len(running) == 80
    await subject.let_limits_be_asked_again()
    newcomer = await subject.queue.enqueue(new_task(owner_id="zz_newcomer", priority=-1))
    await subject.let_others_hear()

    assert [task.id for task in await subject.claim(20)] == [newcomer.id]
    assert subject.queue.limit_reached


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_newcomer_is_found_behind_owners_competitor_served(subject: Subject, limit: int) -> None:
    await subject.queue.enqueue_many([new_task(owner_id=f"owner_{number:02}") for number in range(60)])
    competitor = subject.elsewhere()
    assert len(await competitor.claim(claimer("competitor"), limit=1)) == 1
    await subject.claim(limit)
    while await competitor.claim(claimer("competitor"), limit=20):
        pass
    newcomer = await subject.queue.enqueue(new_task(owner_id="usr_c"))

    assert [task.id for task in await subject.claim(limit)] == [newcomer.id]
