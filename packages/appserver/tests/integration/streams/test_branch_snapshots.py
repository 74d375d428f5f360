"""Snapshots behind jumps: the run as it goes on, once and in order, wherever a viewer's stream was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appdb import BranchRepository, Database, DatabaseUnavailableError, StateRepository
from appdb.models import RunView
from appserver.streams.run_frames import FrameChoice
from appsupport.workflows.watched_run import OWNER, SOON, E, SentEvent, Watched, next_of

VIEWERS = 30
BEGUN = 3
"""Events of a run whose module has begun; what comes next has this number."""


async def heads(stream: AsyncIterator[bytes], count: int) -> list[tuple[str | None, str]]:
    """Return the ids and names of the next *count* events of a stream."""
    return [event[:2] for event in await events(stream, count)]


async def events(stream: AsyncIterator[bytes], count: int) -> list[SentEvent]:
    return [event for _ in range(count) for event in await next_of(stream)]


async def gives(watched: Watched, value: str) -> None:
    """Let the run's module give a value, under a name in its state."""
    await watched.append((E.MODULE_COMPLETED, {"said": value, "_state_mapped": {"said": value}}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the events behind which states were read for snapshots."""
    read_at, read = StateRepository.read_at, []

    async def counted(self: StateRepository, run_id: str, seq: int, **options: Any) -> RunView:
        read.append(seq)
        return await read_at(self, run_id, seq, **options)

    monkeypatch.setattr(StateRepository, "read_at", counted)
    return read


async def test_each_live_jump_is_followed_by_snapshot(watched: Watched, reads: list[int]) -> None:
    await watched.start()
    stream = watched.follow()
    await next_of(stream)
    left = (await watched.runs.get(watched.run.id, owner_id=OWNER)).branch_id

    await gives(watched, "first")
    one = await watched.jump()
    await watched.start()
    two = await watched.jump()
    seen = await events(stream, 9)

    assert [event[:2] for event in seen] == [
        ("3", "module_completed"),
        (None, "branch"),
        ("4", "jump_requested"),
        ("4", "snapshot"),
        ("5", "step_started"),
        ("6", "module_started"),
        (None, "branch"),
        ("7", "jump_requested"),
        ("7", "snapshot"),
    ]
    assert seen[1][2] == {"from": left, "to": one.id, "cutoff_seq": 0}
    snapshots = [data for _, name, data in seen if name == "snapshot"]
    assert [(told["branch_id"], told["last_seq"]) for told in snapshots] == [(one.id, 4), (two.id, 7)]
    assert [(told["status"], told["values"], told["module"]) for told in snapshots] == [("processing", {}, None)] * 2
    assert reads == [4, 7]


async def test_snapshot_of_run_that_has_gone_on_is_of_jump(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gone_on, read_at = asyncio.Event(), asyncio.Event(), StateRepository.read_at

    async def later(self: StateRepository, *args: Any, **options: Any) -> RunView:
        asked.set()
        await gone_on.wait()
        return await read_at(self, *args, **options)

    monkeypatch.setattr(StateRepository, "read_at", later)
    await watched.start()
    stream = watched.follow()
    await next_of(stream)
    branch = await watched.jump()
    async with asyncio.timeout(SOON):
        await asked.wait()
    await watched.start()
    await gives(watched, "later")
    await watched.append((E.WORKFLOW_COMPLETED, {}))
    gone_on.set()
    seen = await events(stream, 8)

    snapshot = seen[2][2]
    told = [snapshot[name] for name in ("branch_id", "last_seq", "status", "values", "step", "completed_at")]
    assert told == [branch.id, BEGUN, "processing", {}, None, None]
    assert [name for _, name, _ in seen[3:]] == [
        "step_started",
        "module_started",
        "module_completed",
        "workflow_completed",
        "end",
    ]


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (1, ["module_started", "branch", "jump_requested", "snapshot", "step_started", "module_started", "tasks"]),
        (2, ["branch", "jump_requested", "snapshot", "step_started", "module_started", "tasks"]),
        # The client may have gone between the event and its snapshot, or behind that.
        (3, ["snapshot", "step_started", "module_started", "tasks"]),
        (4, ["module_started", "tasks"]),
        (5, ["tasks"]),
    ],
)
async def test_reconnect_at_each_boundary_gets_snapshot_once(watched: Watched, after: int, names: list[str]) -> None:
    await watched.start()
    branch = await watched.jump()
    await watched.start()

    seen = await events(watched.follow(after=after), len(names))

    assert [name for _, name, _ in seen] == names
    for seq, name, data in seen:
        if name == "snapshot":
            assert (seq, data["last_seq"], data["branch_id"], data["tasks"]) == ("3", 3, branch.id, [])


async def test_reconnect_right_behind_jump_gets_snapshot(watched: Watched) -> None:
    await watched.start()
    await watched.jump()

    stream = watched.follow(after=BEGUN)
    missed = await heads(stream, 2)
    await watched.start()

    assert missed == [("3", "snapshot"), ("3", "tasks")]
    assert await heads(stream, 2) == [("4", "step_started"), ("5", "module_started")]


async def test_catch_up_over_two_jumps_has_snapshot_of_last(watched: Watched, reads: list[int]) -> None:
    await watched.start()
    await watched.jump()
    await watched.start()
    await watched.jump()
    await watched.start()

    seen = await heads(watched.follow(after=2), 10)

    assert [name for _, name in seen] == [
        "branch",
        "jump_requested",
        "step_started",
        "module_started",
        "branch",
        "jump_requested",
        "snapshot",
        "step_started",
        "module_started",
        "tasks",
    ]
    assert seen[6] == ("6", "snapshot")
    assert reads == [6]
    # Behind a jump of a branch that was left, what follows leads to a snapshot anyway.
    assert [name for _, name in await heads(watched.follow(after=3), 5)] == [
        "step_started",
        "module_started",
        "branch",
        "jump_requested",
        "snapshot",
    ]


async def test_jump_during_catch_up_has_snapshot(watched: Watched) -> None:
    await watched.start()
    await watched.jump()
    await watched.start()
    before = await watched.runs.get(watched.run.id, owner_id=OWNER)
    # The run was read for the viewer, and goes back once more before its log is.
    await watched.jump()
    await watched.start()

    stream = watched.streams.follow(before, after=2)
    seen = [name for _, name in await heads(stream, 11)]

    assert seen[:5] == ["branch", "jump_requested", "snapshot", "step_started", "module_started"]
    assert seen[5:] == ["branch", "jump_requested", "snapshot", "step_started", "module_started", "tasks"]


async def test_many_viewers_share_read_of_snapshot(watched: Watched, reads: list[int]) -> None:
    await watched.start()
    streams = [watched.follow() for _ in range(VIEWERS)]
    await asyncio.gather(*(next_of(stream) for stream in streams))

    await watched.jump()
    seen = await asyncio.gather(*(heads(stream, 3) for stream in streams))
    late = [watched.follow(after=2 + number % 2) for number in range(VIEWERS)]
    missed = await asyncio.gather(*(heads(stream, 2) for stream in late))

    assert seen == [[(None, "branch"), ("3", "jump_requested"), ("3", "snapshot")]] * VIEWERS
    assert missed == [[(None, "branch"), ("3", "jump_requested")], [("3", "snapshot"), ("3", "tasks")]] * (VIEWERS // 2)
    assert reads == [3]


async def test_viewers_that_come_back_at_once_share_read_of_snapshot(watched: Watched, reads: list[int]) -> None:
    await watched.start()
    await watched.jump()

    streams = [watched.follow(after=2) for _ in range(VIEWERS)]
    missed = await asyncio.gather(*(heads(stream, 4) for stream in streams))

    assert missed == [[(None, "branch"), ("3", "jump_requested"), ("3", "snapshot"), ("3", "tasks")]] * VIEWERS
    assert reads == [3]


async def test_jump_waits_for_database_and_comes_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    read_at, failed = StateRepository.read_at, asyncio.Event()

    async def unavailable_once(self: StateRepository, *args: Any, **options: Any) -> RunView:
        if not failed.is_set():
            failed.set()
            raise DatabaseUnavailableError("reading a run", "no primary")
        return await read_at(self, *args, **options)

    await watched.start()
    stream = watched.follow()
    await next_of(stream)
    monkeypatch.setattr(StateRepository, "read_at", unavailable_once)
    await watched.jump()
    async with asyncio.timeout(SOON):
        await failed.wait()
    await watched.start()

    assert await heads(stream, 5) == [
        (None, "branch"),
        ("3", "jump_requested"),
        ("3", "snapshot"),
        ("4", "step_started"),
        ("5", "module_started"),
    ]


async def test_snapshot_behind_jump_tells_tasks_of_left_line_to_their_end(watched: Watched) -> None:
    await watched.start()
    lease = await watched.wait_for_task("tq_1")
    await watched.say(lease, "Hel", started=True)
    stream = watched.follow()
    await next_of(stream)
    await watched.say(lease, "lo")
    await next_of(stream)

    await watched.queue.complete(lease)
    await watched.jump()
    seen = await events(stream, 4)

    assert [name for _, name, _ in seen] == ["task_completed", "branch", "jump_requested", "snapshot"]
    assert seen[3][2]["tasks"] == []


async def test_return_to_ended_branch_ends_stream(watched: Watched, database: Database) -> None:
    await watched.start()
    await watched.append((E.WORKFLOW_COMPLETED, {"output": "all of it"}))
    ended = (await watched.runs.get(watched.run.id, owner_id=OWNER)).branch_id
    branch = await watched.jump()
    await watched.start()
    stream = watched.follow()
    await next_of(stream)

    await BranchRepository(database).switch(watched.run.id, ended, owner_id=OWNER, branch_id=branch.id)
    seen = await events(stream, 4)

    assert [name for _, name, _ in seen] == ["branch", "branch_switched", "snapshot", "end"]
    told = (seen[2][2]["status"], seen[2][2]["output"], seen[3][2]["status"])
    assert told == ("completed", "all of it", "completed")
    assert [text async for text in stream] == []


async def test_snapshot_comes_whatever_viewer_has_chosen(watched: Watched) -> None:
    await watched.start()
    stream = watched.follow(choice=FrameChoice(types=frozenset({"module_started"})))
    await next_of(stream)

    await watched.jump()
    await watched.start()

    assert await heads(stream, 3) == [(None, "branch"), ("3", "snapshot"), ("5", "module_started")]


async def test_output_that_is_named_as_branch_begins_none(watched: Watched) -> None:
    await watched.start()
    stream = watched.follow()
    await next_of(stream)

    await watched.append((E.MODULE_COMPLETED, {"previous_branch_id": 7, "cutoff_seq": "none"}))

    assert await heads(stream, 1) == [("3", "module_completed")]
