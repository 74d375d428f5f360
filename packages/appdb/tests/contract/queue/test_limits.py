"""Limits: how many at a time, how many in a time, and an operator's word over both."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from appdb import Lease, Limit, Task
from appsupport.queue.queue_contract import OWNER, Subject, claimer, new_task, numbered

TWO = Limit(key="provider:x", concurrency=2)
DAY = timedelta(days=1)
SLOW = Limit(key="provider:x", rate=2, per=timedelta(seconds=200))


async def add(subject: Subject, count: int, *limits: Limit) -> None:
    for number in range(count):
        await subject.queue.enqueue(numbered(number, limits=limits))


async def all_given(subject: Subject, rounds: int = 4, limit: int = 5) -> list[Task]:
    await subject.let_limits_be_asked_again()
    return [task for _ in range(rounds) for task in await subject.claim(limit)]


async def test_concurrency_limit_holds_over_batched_claims(subject: Subject) -> None:
    await add(subject, 6, TWO)

    assert len(await subject.claim(5)) <= 2
    assert len(await all_given(subject)) <= 2
    assert await subject.claim() == []


async def test_concurrency_limit_holds_for_single_claims(subject: Subject) -> None:
    await add(subject, 4, TWO)

    assert [len(await subject.claim()) for _ in range(4)] == [1, 1, 0, 0]


async def test_limit_holds_under_concurrent_claims(subject: Subject) -> None:
    await add(subject, 12, TWO)
    claims = await asyncio.gather(*(subject.elsewhere().claim(claimer(f"w{n}"), limit=1 + n % 4) for n in range(8)))

    assert sum(map(len, claims)) <= 2
    assert sum(map(len, claims)) + len(await all_given(subject)) == 2


async def test_every_end_of_attempt_frees_its_place(subject: Subject) -> None:
    await add(subject, 10, TWO)
    complete, fail = await all_given(subject)
    await subject.queue.complete(Lease.of(complete))
    await subject.queue.fail(Lease.of(fail), "Broken", "no", retry_in=timedelta(hours=1))
    cancel, release = await all_given(subject)
    await subject.queue.cancel(cancel.id, owner_id=OWNER)
    await subject.queue.release(Lease.of(release))
    freed = await all_given(subject)
    assert len(freed) == 2
    await subject.lose_lease()
    assert {task.id for task in await subject.queue.recover()} == {task.id for task in freed}

    assert len(await all_given(subject)) == 2


async def test_full_limit_does_not_block_other_tasks(subject: Subject) -> None:
    await add(subject, 5, TWO)
    free = await subject.queue.enqueue(new_task(payload={"text": "free"}))
    given = await all_given(subject)

    assert len(given) == 3
    assert free.id in {task.id for task in given}


async def test_limits_of_different_keys_are_independent(subject: Subject) -> None:
    await add(subject, 3, Limit(key="a", concurrency=1))
    await add(subject, 3, Limit(key="b", concurrency=1))

    assert sorted(task.limits[0].key for task in await all_given(subject)) == ["a", "b"]


async def test_task_obeys_all_of_its_limits(subject: Subject) -> None:
    wide, narrow = Limit(key="wide", concurrency=5), Limit(key="narrow", concurrency=1)
    await add(subject, 3, wide, narrow)
    await add(subject, 3, wide)
    given = await all_given(subject)

    assert sorted(len(task.limits) for task in given) == [1, 1, 1, 2]


async def test_rate_gives_burst_then_refills(subject: Subject) -> None:
    await add(subject, 6, SLOW)
    burst = await all_given(subject, rounds=3)
    await subject.pass_time(130)
    later = await all_given(subject, rounds=3)

    assert len(burst) == 2
    assert 1 <= len(later) <= 2


async def test_rate_is_spent_at_claim_for_good(subject: Subject) -> None:
    await add(subject, 4, Limit(key="k", rate=1, per=timedelta(hours=1)))
    (task,) = await all_given(subject)
    await subject.queue.complete(Lease.of(task))

    assert await all_given(subject) == []


async def test_operators_limit_overrides_task_limits(subject: Subject) -> None:
    await add(subject, 6, TWO)
    await subject.queue.set_limit(Limit(key=TWO.key, concurrency=4))

    assert await subject.queue.limits() == [Limit(key=TWO.key, concurrency=4)]
    assert len(await all_given(subject)) == 4


async def test_operator_can_narrow_limit(subject: Subject) -> None:
    await subject.queue.set_limit(Limit(key=TWO.key, concurrency=1))
    await add(subject, 4, TWO)

    assert len(await all_given(subject)) == 1


async def test_cleared_limit_restores_task_limits(subject: Subject) -> None:
    await subject.queue.set_limit(Limit(key=TWO.key, concurrency=1))
    await subject.queue.clear_limit(TWO.key)
    await subject.queue.clear_limit(TWO.key)
    await add(subject, 4, TWO)

    assert await subject.queue.limits() == []
    assert len(await all_given(subject)) == 2


async def test_last_set_limit_wins_and_list_is_sorted(subject: Subject) -> None:
    rate = Limit(key="b", rate=3, per=timedelta(minutes=1))
    for limit in (rate, Limit(key="a", concurrency=9), Limit(key="a", concurrency=1, rate=2)):
        await subject.queue.set_limit(limit)

    assert await subject.queue.limits() == [Limit(key="a", concurrency=1, rate=2), rate]


async def test_limit_key_with_operators_is_only_name(subject: Subject) -> None:
    for key in ("$lease.token", "a.b", "$$NOW", "{$gt: ''}"):
        await add(subject, 2, Limit(key=key, concurrency=1))
        await subject.queue.set_limit(Limit(key=key, concurrency=1))

    assert len(await all_given(subject, rounds=8)) == 4


async def test_claimer_is_told_limit_reached(subject: Subject) -> None:
    await add(subject, 2, Limit(key="k", concurrency=1))
    (task,) = await all_given(subject)
    told_while_full = subject.queue.limit_reached
    await subject.queue.complete(Lease.of(task))
    (last,) = await all_given(subject, rounds=1)
    await subject.queue.complete(Lease.of(last))
    await all_given(subject)

    assert told_while_full
    assert not subject.queue.limit_reached


async def test_two_limits_of_one_key_both_hold(subject: Subject) -> None:
    narrow, wide = Limit(key="k", concurrency=1), Limit(key="k", concurrency=5)
    await add(subject, 6, narrow, wide)

    assert len(await all_given(subject)) == 1


async def test_two_rates_of_one_key_both_hold(subject: Subject) -> None:
    await add(subject, 9, Limit(key="k", rate=2, per=timedelta(seconds=10)), Limit(key="k", rate=3, per=DAY))
    first = await all_given(subject)
    await subject.pass_time(60)
    second = await all_given(subject)
    await subject.pass_time(60)

    assert (len(first), len(second), len(await all_given(subject))) == (2, 1, 0)


async def test_each_task_of_claim_obeys_own_limit(subject: Subject) -> None:
    one, three = Limit(key="k", concurrency=1), Limit(key="k", concurrency=3)
    for number, limit in enumerate([three, one, three, one, three, three]):
        await subject.queue.enqueue(numbered(number, limits=(limit,)))
    given = await all_given(subject)

    assert [task.payload["n"] for task in given] == [0, 2, 4]


async def test_nothing_starts_beside_task_of_full_limit(subject: Subject) -> None:
    await subject.queue.enqueue(numbered(0, limits=(Limit(key="k", concurrency=1),)))
    await subject.queue.enqueue(numbered(1, limits=(Limit(key="k", concurrency=5),)))
    await subject.queue.enqueue(numbered(2, limits=(Limit(key="k", rate=5),)))
    (first,) = await all_given(subject)
    await subject.queue.complete(Lease.of(first))

    assert [first.payload["n"], *sorted(task.payload["n"] for task in await all_given(subject))] == [0, 1, 2]


async def test_slow_rate_holds_beside_quick_one(subject: Subject) -> None:
    quick, slow = Limit(key="k", rate=100), Limit(key="k", rate=1, per=DAY)
    given = []
    for _ in range(3):
        await subject.queue.enqueue(numbered(0, limits=(quick,)))
        await subject.queue.enqueue(numbered(1, limits=(slow,)))
        given += [task.payload["n"] for task in await all_given(subject)]
        await subject.pass_time(60)

    assert given.count(0) == 3
    assert given.count(1) <= 1


async def test_rate_over_days_survives_pruning(subject: Subject) -> None:
    await add(subject, 3, Limit(key="k", rate=1, per=7 * DAY))
    (first,) = await all_given(subject)
    await subject.queue.complete(Lease.of(first))
    for _ in range(3):
        await subject.pass_time(2 * DAY.total_seconds())
        await subject.queue.prune(older_than=timedelta(days=1))
        assert await all_given(subject, rounds=2) == []
    await subject.pass_time(2 * DAY.total_seconds())
    await subject.queue.prune(older_than=timedelta(days=1))

    assert len(await all_given(subject)) == 1


async def test_narrow_full_limit_does_not_block_wider_one(subject: Subject) -> None:
    await add(subject, 1, Limit(key="k", concurrency=5))
    await all_given(subject)
    await add(subject, 2, Limit(key="k", concurrency=1))
    await subject.queue.enqueue(numbered(7, limits=(Limit(key="k", concurrency=5),)))

    assert [task.payload["n"] for task in await all_given(subject)] == [7]


async def test_ended_task_frees_limit_at_once(subject: Subject) -> None:
    await add(subject, 5, Limit(key="k", concurrency=1))
    done = []
    for _ in range(5):
        (task,) = await subject.claim(2)
        assert await subject.claim(2) == []
        await subject.queue.complete(Lease.of(task))
        done.append(task.payload["n"])

    assert done == [0, 1, 2, 3, 4]
