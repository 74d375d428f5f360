"""Steps that are remembered over attempts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from appdb import InvalidDataError, Lease, LeaseLostError, TooLargeError
from appsupport.queue.queue_contract import OWNER, Subject, new_task


@pytest.mark.parametrize("value", [None, 0, "", "$$NOW", [1, {"$gt": "a.b"}], {"$set": {"a.b": None}}, True, 1.5])
async def test_saved_step_comes_back_as_it_was(subject: Subject, value: Any) -> None:
    _, lease = await subject.claimed()
    assert await subject.queue.get_step(lease, "step") == (False, None)
    await subject.queue.save_step(lease, "step", value)

    assert await subject.queue.get_step(lease, "step") == (True, value)


async def test_steps_are_kept_over_attempts(subject: Subject) -> None:
    _, lease = await subject.claimed()
    await subject.queue.save_step(lease, "step", {"job": 7})
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (second,) = await subject.claim()
    after_failure = await subject.queue.get_step(Lease.of(second), "step")
    await subject.lose_lease()
    await subject.queue.recover()
    (third,) = await subject.claim()

    assert after_failure == (True, {"job": 7})
    assert await subject.queue.get_step(Lease.of(third), "step") == (True, {"job": 7})


@pytest.mark.parametrize("how", ["retry", "replay"])
async def test_step_ended_after_cancel_is_not_saved(subject: Subject, how: str) -> None:
    task, lease = await subject.claimed()
    await subject.queue.save_step(lease, "before", 1)
    await subject.queue.cancel(task.id, owner_id=OWNER)
    with pytest.raises(LeaseLostError):
        await subject.queue.save_step(lease, "after", 2)
    again = await getattr(subject.queue, how)(task.id, owner_id=OWNER)
    (held,) = await subject.claim()
    steps = [await subject.queue.get_step(Lease.of(held), key) for key in ("before", "after")]

    assert held.id == again.id != task.id
    assert steps == [(False, None), (False, None)]


async def test_steps_belong_to_task_and_key(subject: Subject) -> None:
    _, first = await subject.claimed()
    _, second = await subject.claimed()
    await subject.queue.save_step(first, "step", 1)

    assert await subject.queue.get_step(second, "step") == (False, None)
    assert await subject.queue.get_step(first, "step 2") == (False, None)


async def test_saving_same_step_again_is_harmless(subject: Subject) -> None:
    _, lease = await subject.claimed()
    for _ in range(3):
        await subject.queue.save_step(lease, "step", [1])

    assert await subject.queue.get_step(lease, "step") == (True, [1])


@pytest.mark.parametrize("key", ["a.b", "$where", "😀", "\u202eabc", "x" * 200])
async def test_step_key_of_any_text_is_only_name(subject: Subject, key: str) -> None:
    _, lease = await subject.claimed()
    await subject.queue.save_step(lease, key, 1)

    assert await subject.queue.get_step(lease, key) == (True, 1)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b"])
async def test_empty_long_or_control_step_key_refused(subject: Subject, key: str) -> None:
    task, lease = await subject.claimed()
    with pytest.raises(InvalidDataError, match=r"^key: "):
        await subject.queue.save_step(lease, key, 1)
    with pytest.raises(InvalidDataError, match=r"^key: "):
        await subject.queue.spawn(lease, key, new_task())

    assert await subject.get(task) == task


async def test_saving_step_again_replaces_value(subject: Subject) -> None:
    _, lease = await subject.claimed()
    for value in (1, 2):
        await subject.queue.save_step(lease, "step", value)

    assert await subject.queue.get_step(lease, "step") == (True, 2)


@pytest.mark.parametrize(("value", "error"), [("x" * 300_000, TooLargeError), ("\ud800", InvalidDataError)])
async def test_unstorable_step_value_is_refused(subject: Subject, value: str, error: type[Exception]) -> None:
    _, lease = await subject.claimed()
    with pytest.raises(error):
        await subject.queue.save_step(lease, "step", value)

    assert await subject.queue.get_step(lease, "step") == (False, None)
