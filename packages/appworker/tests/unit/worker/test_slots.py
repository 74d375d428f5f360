"""Slots are given in order, and as many tasks are prefetched as will find one in time."""

from __future__ import annotations

import asyncio

import pytest

from appworker.worker.slots import MAX_PREFETCH, MISJUDGED_SECONDS, SLOT_WAIT, Slots, SlotTicket

COUNT = 4


def nothing() -> None:
    """Hear of a change."""


def learned(task_seconds: float, claim_seconds: float, count: int = COUNT) -> Slots:
    """Return free slots that have seen such tasks and claims."""
    slots = Slots(count, nothing)
    slots.claim_took(claim_seconds)
    slots.request()
    slots.give_back(task_seconds)
    assert slots.busy == 0
    return slots


async def comes(turn: SlotTicket) -> bool:
    """Return whether *turn* comes; it must be known by now."""
    async with asyncio.timeout(0):
        return await turn.granted()


async def test_free_slot_goes_first_come_first_served() -> None:
    slots = Slots(1, nothing)
    first, second, third = (slots.request() for _ in range(3))
    assert await comes(first)
    assert (slots.busy, slots.waiting) == (1, 2)

    first.free()
    assert await comes(second)
    with pytest.raises(TimeoutError):
        await comes(third)
    second.free()
    assert (slots.busy, slots.waiting) == (1, 0)


async def test_watcher_hears_every_returned_slot() -> None:
    heard: list[int] = []
    slots = Slots(1, lambda: heard.append(slots.busy))
    first, second = slots.request(), slots.request()
    first.free()
    assert heard == [1]
    assert await comes(second)
    second.free()
    assert heard == [1, 0]


async def test_nothing_is_prefetched_before_first_run() -> None:
    slots = Slots(COUNT, nothing)
    slots.claim_took(1)

    assert (slots.prefetch, slots.room, slots.worth_a_claim) == (0, COUNT, COUNT)


@pytest.mark.parametrize(
    ("task_seconds", "ahead"),
    [(0.001, 40), (0.01, 4), (0.02, 2), (0.041, 0), (60, 0), (0.000_01, MAX_PREFETCH)],
)
async def test_prefetch_covers_endings_during_claim(task_seconds: float, ahead: int) -> None:
    slots = learned(task_seconds, claim_seconds=0.01)

    assert (slots.prefetch, slots.room) == (ahead, COUNT + ahead)
    assert COUNT <= slots.worth_a_claim <= slots.room


async def test_slow_claim_prefetches_within_longest_wait() -> None:
    slots = learned(0.05, claim_seconds=30)
    turns = [slots.request() for _ in range(slots.room)]
    assert slots.waiting == COUNT * SLOT_WAIT.total_seconds() / 2 / 0.05
    await asyncio.sleep(0.05)  # all that run end
    for turn in turns[:COUNT]:
        turn.free()

    assert [await comes(turn) for turn in turns] == [True] * len(turns)


async def test_running_and_waiting_attempts_reduce_prefetch() -> None:
    slots = learned(0.01, claim_seconds=0.01)
    for taken in range(COUNT + 4):
        assert slots.room == COUNT + 4 - taken
        slots.request()
    slots.request()

    assert (slots.room, slots.waiting) == (0, 5)


async def test_long_task_pauses_prefetch() -> None:
    slots = learned(0.001, claim_seconds=0.01)
    for _ in range(100):
        slots.request()
        slots.give_back(0.001)
    assert slots.prefetch == 40
    slots.request()
    slots.give_back(10)
    assert slots.prefetch == 0
    for _ in range(500):
        slots.request()
        slots.give_back(0.001)

    assert 20 < slots.prefetch <= 40


async def test_attempt_without_slot_stops_prefetch_for_while() -> None:
    slots = learned(0.001, claim_seconds=0.01, count=1)
    first, second = slots.request(), slots.request()
    began = asyncio.get_running_loop().time()
    assert not await second.granted()
    waited = asyncio.get_running_loop().time() - began

    assert SLOT_WAIT.total_seconds() * 0.9 < waited < MISJUDGED_SECONDS
    assert (slots.busy, slots.waiting, slots.prefetch) == (1, 0, 0)
    first.free()
    assert (slots.busy, slots.prefetch) == (0, 0)


async def test_granted_slot_is_not_revoked() -> None:
    slots = Slots(1, nothing)
    first, second, third = slots.request(), slots.request(), slots.request()
    first.free()
    assert not await third.granted()

    assert await comes(second)
    assert slots.busy == 1


async def test_closed_slots_end_waiting_but_still_serve() -> None:
    slots = Slots(1, nothing)
    first, before = slots.request(), slots.request()
    slots.close()
    after = slots.request()
    assert [await comes(turn) for turn in (first, before, after)] == [True, False, False]
    first.free()

    assert await comes(slots.request())
