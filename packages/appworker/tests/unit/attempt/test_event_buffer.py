"""The event buffer keeps the order of events, gives batches that can be written, and leaves none behind."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from appdb import Claimer, Lease, NewEvent, NewTask, Progress, TaskEventType
from appdb.host import check_size
from appdb.testing import InMemoryTaskQueue
from appworker.attempt.event_buffer import MAX_BATCH, EventBuffer


def take_all(notes: EventBuffer) -> list[list[NewEvent]]:
    batches = []
    more = True
    while more:
        events, more = notes.take()
        batches.append(events)
    return batches


async def write_all(batches: list[list[NewEvent]]) -> None:
    """Write batches to a queue, which refuses what is too large for one write."""
    queue, seq = InMemoryTaskQueue(), 0
    await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    for batch in filter(None, batches):
        await queue.append_events(Lease.of(task), batch, seq=seq)
        seq += len(batch)


@given(st.lists(st.integers(0, 50_000), max_size=120))
def test_chunks_keep_order_in_acceptable_batches(sizes: list[int]) -> None:
    notes = EventBuffer()
    for number, size in enumerate(sizes):
        chunk: dict[str, JsonValue] = {"n": number, "text": "x" * size}
        notes.add_chunk(chunk, check_size("chunk", chunk, 60 * 1024))
    batches = take_all(notes)
    chunks = [chunk for batch in batches for event in batch for chunk in event.data["chunks"]]  # type: ignore[union-attr]

    assert [chunk["n"] for chunk in chunks] == list(range(len(sizes)))  # type: ignore[call-overload,index]
    assert all(len(batch) <= MAX_BATCH for batch in batches)
    asyncio.run(write_all(batches))


def test_first_event_leads_and_latest_progress_wins() -> None:
    notes = EventBuffer()
    notes.add_event(NewEvent(type=TaskEventType.STARTED))
    notes.keep_progress(Progress(fraction=0.1))
    notes.add_chunk({"n": 1}, 12)
    notes.keep_progress(Progress(fraction=0.2))
    ((started, chunk, progress),) = take_all(notes)

    assert (started.type, chunk.type) == (TaskEventType.STARTED, TaskEventType.CHUNK)
    assert progress.data["fraction"] == 0.2
    assert take_all(notes) == [[]]


def test_unwritten_events_precede_later_ones() -> None:
    notes = EventBuffer()
    notes.add_chunk({"n": 1}, 12)
    first, _ = notes.take()
    notes.add_chunk({"n": 2}, 12)
    notes.put_back(first)
    (events,) = take_all(notes)

    assert [event.data["chunks"] for event in events] == [[{"n": 1}], [{"n": 2}]]
