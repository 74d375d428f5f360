"""Streams of runs: every event once and in order, through jumps, retries and reconnects, with what tasks stream."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from appdb import EventRepository, NewEvent, TaskEventType, TaskQueue
from appserver.streams.live_tasks import PAGE
from appserver.streams.run_frames import FrameChoice
from appsupport.workflows.watched_run import OWNER, SOON, E, Watched, next_of, parsed

MAX_EVENTS = 200
NO_EVENTS = ("snapshot", "tasks", "end")
"""What has an id and is no event of the log."""


async def test_snapshot_is_followed_by_later_events(watched: Watched) -> None:
    stream = watched.follow()

    ((seq, name, snapshot),) = await next_of(stream)
    await watched.start()
    following = [await next_of(stream), await next_of(stream)]

    assert (seq, name, snapshot["id"], snapshot["status"]) == ("0", "snapshot", watched.run.id, "created")
    assert [(seq, name) for ((seq, name, _),) in following] == [("1", "step_started"), ("2", "module_started")]


async def test_task_output_rides_along_without_id(watched: Watched) -> None:
    await watched.start()
    stream = watched.follow()
    await next_of(stream)

    lease = await watched.wait_for_task("tq_1")
    await watched.say(lease, "Hel", "lo", started=True)
    frames = [(await next_of(stream))[0] for _ in range(3)]

    assert [(seq, name) for seq, name, _ in frames] == [
        ("3", "sub_action_started"),
        (None, "task_started"),
        (None, "task_chunk"),
    ]
    assert frames[2][2]["data"] == {"chunks": [{"text": "Hel"}, {"text": "lo"}]}
    assert (frames[2][2]["task_id"], frames[2][2]["seq"], frames[2][2]["module"]) == ("tq_1", 1, "m")


async def test_late_viewer_gets_text_so_far_once(watched: Watched) -> None:
    await watched.start()
    lease = await watched.wait_for_task("tq_1")
    await watched.say(lease, "Hel", started=True)
    stream = watched.follow(after=1)

    missed = [(await next_of(stream))[0] for _ in range(3)]
    await watched.say(lease, "lo")
    (live,) = await next_of(stream)

    assert [name for _, name, _ in missed] == ["module_started", "sub_action_started", "tasks"]
    (task,) = missed[2][2]["tasks"]
    assert (task["chunks"], task["attempt"], task["seq"]) == ([{"text": "Hel"}], 1, 1)
    assert (live[1], live[2]["seq"], live[2]["data"]) == ("task_chunk", 2, {"chunks": [{"text": "lo"}]})


async def test_finished_task_is_streamed_to_its_end(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, written, events = asyncio.Event(), asyncio.Event(), TaskQueue.events

    async def later(self: TaskQueue, *args: Any, **options: Any) -> Any:
        asked.set()
        await written.wait()
        return await events(self, *args, **options)

    await watched.start()
    stream = watched.follow()
    await next_of(stream)
    # The reader sees nothing of the task before its run goes on without it.
    monkeypatch.setattr(TaskQueue, "events", later)
    lease = await watched.wait_for_task("tq_1")
    async with asyncio.timeout(SOON):
        await asked.wait()
    texts = [str(number) for number in range(4 * PAGE)]
    for begin in range(0, len(texts), MAX_EVENTS):
        new = [
            NewEvent(type=TaskEventType.CHUNK, data={"chunks": [{"text": text}]})
            for text in texts[begin : begin + MAX_EVENTS]
        ]
        await watched.queue.append_events(lease, new, seq=begin)
    await watched.append((E.SUB_ACTION_COMPLETED, {"sub_action_id": "m/tq_1"}))
    written.set()

    seen: list[str] = []
    async with asyncio.timeout(SOON * 4):
        while len(seen) < len(texts):
            for _, name, data in parsed(await anext(stream)):
                seen += [chunk["text"] for chunk in data["data"]["chunks"]] if name == "task_chunk" else []
    assert seen == texts


async def test_new_attempt_is_led_by_rollback(watched: Watched) -> None:
    await watched.start()
    lease = await watched.wait_for_task("tq_1")
    await watched.say(lease, "bad", started=True)
    stream = watched.follow()
    ((_, _, snapshot),) = await next_of(stream)

    await watched.queue.fail(lease, "E", "no", retry_in=timedelta(0))
    await watched.queue.promote()
    again = await watched.claim()
    await watched.say(again, "good", started=True)
    frames = [(await next_of(stream))[0] for _ in range(4)]

    assert [task["chunks"] for task in snapshot["tasks"]] == [[{"text": "bad"}]]
    assert [name for _, name, _ in frames] == ["task_retrying", "rollback", "task_started", "task_chunk"]
    assert frames[1][2] == {"task_id": "tq_1", "attempt": 2, "module": "m"}


async def test_end_tells_what_can_still_be_done(watched: Watched) -> None:
    await watched.start()
    stream = watched.follow(after=2)
    await next_of(stream)

    await watched.append((E.WORKFLOW_ERROR, {"error": {"code": "bug", "message": "no"}}))
    names = [name async for text in stream for _, name, _ in parsed(text)]
    again = [(seq, name, data) async for text in watched.follow(after=3) for seq, name, data in parsed(text)]

    assert names == ["workflow_error", "end"]
    assert [(seq, name) for seq, name, _ in again] == [("3", "tasks"), ("3", "end")]
    assert again[1][2]["resumable"]
    assert {"retry", "jump"} < set(again[1][2]["actions"])


async def test_viewer_chooses_types_and_modules(watched: Watched) -> None:
    choice = FrameChoice(types=frozenset({"module_started"}), modules=frozenset({"m"}))
    stream = watched.follow(after=-1, choice=choice)

    async def read() -> list[str]:
        names = [name async for text in stream for _, name, _ in parsed(text)]
        return [name for name in names if name != "tasks"]

    reading = asyncio.create_task(read())
    await watched.start()
    await watched.append((E.WORKFLOW_COMPLETED, {}))

    async with asyncio.timeout(SOON):
        assert await reading == ["module_started", "end"]


async def watch_with_drops(watched: Watched, chance: random.Random) -> list[int]:
    """Follow a run to its end, dropping the stream after every few events; return the numbers that were seen."""
    seen = [-1]
    while True:
        left = chance.randint(1, 6)
        async for text in watched.follow(after=seen[-1]):
            names = [name for _, name, _ in parsed(text)]
            seen += [int(seq) for seq, name, _ in parsed(text) if seq is not None and name not in NO_EVENTS]
            if "end" in names:
                return seen[1:]
            left -= 1
            if not left:
                break


async def test_dropping_viewer_sees_every_event_once(watched: Watched) -> None:
    watching = asyncio.create_task(watch_with_drops(watched, random.Random(7)))
    await watched.start()
    for number in range(60):
        await watched.append((E.OUTPUT_STORED, {"number": number}))
        if number in (20, 40):
            await watched.jump()
            await watched.start()
    await watched.append((E.RETRY_REQUESTED, {"target_module": "m"}))
    await watched.append((E.WORKFLOW_COMPLETED, {}))
    async with asyncio.timeout(60):
        seen = await watching

    run = await watched.runs.get(watched.run.id, owner_id=OWNER)
    assert seen == list(range(run.event_count))


async def test_many_viewers_share_one_reader(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    log = EventRepository.log

    async def counted(self: EventRepository, *args: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return await log(self, *args, **options)

    streams = [watched.follow() for _ in range(30)]
    await asyncio.gather(*(next_of(stream) for stream in streams))
    monkeypatch.setattr(EventRepository, "log", counted)

    await watched.start()
    await asyncio.gather(*(next_of(stream) for stream in streams))

    assert looks <= 4
