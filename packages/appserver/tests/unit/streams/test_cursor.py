from __future__ import annotations

from datetime import UTC, datetime

import pytest

from appdb import Task
from appserver.errors import CursorError
from appserver.streams.cursor import MAX_TASKS, TaskCursor, TaskCursors

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(task_id: str = "t", *, events: int = 3, state: str = "processing") -> Task:
    times = {"created_at": NOW, "updated_at": NOW, "run_at": NOW}
    who = {"owner_id": "u", "actor": "a", "actor_version": 1, "queue": "q"}
    rest = {"payload": {}, "max_attempts": 1, "event_count": events, "state": state}
    return Task.from_document({"_id": task_id} | times | who | rest)


@pytest.mark.parametrize(("text", "seq"), [("-1", -1), ("0", 0), ("2", 2)])
def test_event_number_is_a_cursor(text: str, seq: int) -> None:
    assert TaskCursor.parse("after", text, task()) == TaskCursor(task_id="t", seq=seq)


@pytest.mark.parametrize("text", ["", "3", "-2", "1_0", " 1", "+1", "٣", "1" * 13, "--1"])
def test_other_text_is_refused_by_field(text: str) -> None:
    with pytest.raises(CursorError) as refusal:
        TaskCursor.parse("Last-Event-ID", text, task())

    assert [error.field for error in refusal.value.errors] == ["Last-Event-ID"]
    assert str(refusal.value) == "Last-Event-ID: it must be the number of an event of this task, -1 to 2"


@pytest.mark.parametrize(
    ("state", "seq", "ends"), [("completed", 2, True), ("completed", 1, False), ("queued", 2, False)]
)
def test_cursor_ends_with_terminal_event(state: str, seq: int, ends: bool) -> None:
    assert TaskCursor(task_id="t", seq=seq).ends(task(state=state)) is ends


def test_cursors_read_and_write_the_same_text() -> None:
    cursors = TaskCursors.parse("after", "a:4,b:-1,c:d:0")

    cursors.move("b", 7)

    assert cursors.task_ids == ["a", "b", "c:d"]
    assert str(cursors) == "a:4,b:7,c:d:0"


@pytest.mark.parametrize(
    "text", ["", "a", ":1", "a:", "a:x", "a:1,,b:2", ",".join(f"t{n}:0" for n in range(MAX_TASKS + 1))]
)
def test_malformed_cursors_are_refused(text: str) -> None:
    with pytest.raises(CursorError, match=r"^after: it "):
        TaskCursors.parse("after", text)


def test_cursors_stay_within_their_logs() -> None:
    cursors = TaskCursors.parse("after", "a:2,b:3")

    with pytest.raises(CursorError, match=r"^after: b has the events 0 to 2; -1 asks for all of them$"):
        cursors.check("after", [task("a"), task("b")])


def test_cursors_leave_out_ended_tasks() -> None:
    cursors = TaskCursors.parse("after", "a:2,b:1,c:2")
    tasks = [task("a", state="failed"), task("b", state="failed"), task("c")]

    assert str(cursors.without_ended(tasks)) == "b:1,c:2"
