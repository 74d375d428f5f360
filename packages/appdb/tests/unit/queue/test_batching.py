"""Single items are written in batches, each outcome comes back to its caller, and a lone caller waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from appdb.queue.batching import MOST_UNDER_WAY, MOST_WEIGHT, GroupCommit


class Written:
    """Takes batches, each as soon as it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.most_under_way = self._under_way = 0

    async def write(self, items: Sequence[int]) -> list[str | Exception]:
        self.batches.append(list(items))
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        await self.gate.wait()
        self._under_way -= 1
        if 13 in items and len(items) == 1:
            raise ConnectionError("thirteen")
        return [ValueError(str(item)) if item < 0 else str(item) for item in items]


async def test_lone_item_is_written_at_once() -> None:
    written = Written()
    written.gate.set()
    group = GroupCommit(written.write, None)

    assert [await group.add(1), await group.add(2)] == ["1", "2"]
    assert written.batches == [[1], [2]]


async def test_items_arriving_meanwhile_share_one_batch() -> None:
    written = Written()
    group = GroupCommit(written.write, None)
    count = MOST_UNDER_WAY + MOST_WEIGHT + 5
    callers = [asyncio.create_task(group.add(item)) for item in range(count)]
    await asyncio.sleep(0)
    written.gate.set()

    assert await asyncio.gather(*callers) == [str(item) for item in range(count)]
    assert [len(batch) for batch in written.batches] == [1] * MOST_UNDER_WAY + [MOST_WEIGHT, 5]
    assert written.most_under_way == MOST_UNDER_WAY


async def test_items_error_spares_its_neighbours() -> None:
    written = Written()
    group = GroupCommit(written.write, None)
    items = [*range(MOST_UNDER_WAY), 7, -1, 8]
    callers = [asyncio.create_task(group.add(item)) for item in items]
    await asyncio.sleep(0)
    written.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == [str(item) for item in items]
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [item == -1 for item in items]


async def test_failed_batch_makes_room_for_next() -> None:
    written = Written()
    written.gate.set()
    group = GroupCommit(written.write, None)

    for _ in range(MOST_UNDER_WAY + 1):
        with pytest.raises(ConnectionError, match="thirteen"):
            await group.add(13)
    assert await group.add(1) == "1"


async def test_caller_giving_up_spares_its_batch() -> None:
    written = Written()
    group = GroupCommit(written.write, None)
    callers = [asyncio.create_task(group.add(item)) for item in range(MOST_UNDER_WAY + 3)]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[-2].cancel()
    await asyncio.sleep(0)
    written.gate.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    cancelled = [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes]

    assert cancelled == [True, False, False, True, False]
    assert outcomes[-1] == str(MOST_UNDER_WAY + 2)


async def test_item_waiting_too_long_is_not_written() -> None:
    written = Written()
    group = GroupCommit(written.write, timedelta(milliseconds=50))
    first = [asyncio.create_task(group.add(item)) for item in range(MOST_UNDER_WAY)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await group.add(7)
    late = asyncio.create_task(group.add(8))
    await asyncio.sleep(0)
    written.gate.set()

    assert await asyncio.gather(*first, late) == [*(str(item) for item in range(MOST_UNDER_WAY)), "8"]
    assert written.batches == [[item] for item in [*range(MOST_UNDER_WAY), 8]]
