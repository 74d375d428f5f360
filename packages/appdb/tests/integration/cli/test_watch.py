"""``appdb tasks watch``: the whole story, however late it starts and whatever the connection does."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appdb import Database, NewEvent, NewTask, Task, TaskEventType
from appdb.cli import follower
from appsupport.cli.appdb_command import ACTOR, OWNER, QUEUE, SECONDS, CommandLine, StandIn, said

TASK = NewTask(owner_id=OWNER, actor=ACTOR, actor_version=3, queue=QUEUE, payload={})
CHANGE_STREAM_HISTORY_LOST = 286


@pytest.fixture
async def held(worker: StandIn) -> Task:
    await worker.queue.enqueue(TASK)
    return await worker.claim()


def watch(task: Task, *options: str) -> tuple[str, ...]:
    return ("tasks", "watch", task.id, "--owner", OWNER, *options)


@asynccontextmanager
async def failing(database: Database, command: str, **how: Any) -> AsyncIterator[None]:
    """Let the server fail *command* for the length of the block."""
    admin = database.raw.client.admin
    fail = {"failCommands": [command], **how}
    await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": fail})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def line_with(process: subprocess.Popen[str], text: str, *, err: bool = False) -> None:
    """Wait until the process has printed a line with *text*."""
    stream = process.stderr if err else process.stdout
    assert stream is not None
    async with asyncio.timeout(SECONDS):
        while text not in (line := await asyncio.to_thread(stream.readline)):
            assert line, f"the process ended before it said {text!r}"


@pytest.mark.parametrize(("outcome", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3)])
async def test_watch_of_ended_task_tells_whole_log(
    command: CommandLine, worker: StandIn, held: Task, outcome: str, code: int
) -> None:
    await worker.progress(held, 0.25, "mixing")
    await worker.write(held, [NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["a", "b"]})])
    await worker.end(held, outcome)
    as_json = await command(*watch(held, "--json"))
    as_text = await command(*watch(held))

    assert as_json.code == as_text.code == code
    assert [(row["seq"], row["type"]) for row in as_json.rows()] == [
        (0, "started"),
        (1, "progress"),
        (2, "chunk"),
        (3, outcome),
    ]
    assert as_json.rows()[1]["data"] == {"fraction": 0.25, "message": "mixing"}
    assert "25% mixing" in as_text.out
    assert '["a", "b"]' in as_text.out


async def test_watch_resumes_after_given_event(command: CommandLine, worker: StandIn, held: Task) -> None:
    await worker.progress(held, 0.5)
    await worker.end(held, "completed")

    assert [row["seq"] for row in (await command(*watch(held, "--json", "--after", "1"))).rows()] == [2]
    assert (await command(*watch(held, "--json", "--after", "2"))).rows() == []


async def test_watch_reads_log_of_several_pages(command: CommandLine, worker: StandIn, held: Task) -> None:
    chunk = NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["x"]})
    await worker.write(held, [chunk] * 1_200)
    await worker.end(held, "completed")

    assert [row["seq"] for row in (await command(*watch(held, "--json"))).rows()] == list(range(1_202))


async def test_unreadable_events_do_not_stop_watch(
    command: CommandLine, worker: StandIn, held: Task, database: Database
) -> None:
    await worker.progress(held, 0.25)
    await worker.progress(held, 0.5)
    await worker.end(held, "completed")
    odd = {"$set": {"tail.1.events.0.type": 7, "tail.3.events.0.type": 7}}
    await database.collection("tasks").update_one({"_id": held.id}, odd)
    watched = await command(*watch(held, "--json"))
    shown = await command("tasks", "show", held.id, "--owner", OWNER, "--events", "--json")

    assert watched.code == 0
    assert [row["seq"] for row in watched.rows()] == [0, 2]
    assert [event["seq"] for event in shown.rows()[0]["events"]] == [0, 2]


async def test_events_are_shown_live(command: CommandLine, worker: StandIn, held: Task) -> None:
    process = command.start(*watch(held, "--json"))
    await line_with(process, '"started"')
    await worker.progress(held, 0.5)
    await line_with(process, '"fraction":0.5')
    await worker.end(held, "completed")
    answer = await said(process)

    assert answer.code == 0
    assert [(row["seq"], row["type"]) for row in answer.rows()] == [(2, "completed")]


async def test_polling_watch_neither_loses_nor_doubles_events(
    command: CommandLine, worker: StandIn, held: Task, database: Database
) -> None:
    process = command.start(*watch(held, "--json"))
    await line_with(process, '"started"')
    async with failing(database, "getMore", errorCode=CHANGE_STREAM_HISTORY_LOST):
        for step in range(1, 6):
            await worker.progress(held, step / 10)
        await line_with(process, '"fraction":0.5')
    await worker.end(held, "completed")
    answer = await said(process)

    assert (answer.code, answer.err) == (0, "")
    assert [row["seq"] for row in answer.rows()] == [6]


async def test_short_outage_does_not_end_watch(
    command: CommandLine, worker: StandIn, held: Task, database: Database
) -> None:
    process = command.start(*watch(held, "--json"))
    await line_with(process, '"started"')
    async with failing(database, "find", closeConnection=True):
        await line_with(process, "the database does not answer; trying again", err=True)
    await worker.progress(held, 0.5)
    await worker.end(held, "completed")
    answer = await said(process)

    assert answer.code == 0
    assert [(row["seq"], row["type"]) for row in answer.rows()] == [(1, "progress"), (2, "completed")]


async def test_long_outage_leaves_outcome_open(
    command: CommandLine, worker: StandIn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 1.0)
    waiting = asyncio.create_task(command("tasks", "submit", ACTOR, "--owner", OWNER, "--wait"))
    task = await worker.claim()
    async with failing(database, "find", closeConnection=True):
        answer = await waiting

    assert answer.code == 4
    assert f"how task {task.id} ends is not known" in answer.err
    assert f"look again with `appdb tasks watch {task.id}`" in answer.err


async def test_pruned_task_ends_watch(command: CommandLine, held: Task, database: Database) -> None:
    process = command.start(*watch(held, "--json"))
    await line_with(process, '"started"')
    await database.collection("tasks").delete_one({"_id": held.id})
    answer = await said(process)

    assert answer.code == 1
    assert f"there is no task '{held.id}'" in answer.err


async def test_another_owners_task_is_unknown(command: CommandLine, held: Task) -> None:
    theirs = await command("tasks", "watch", held.id, "--owner", "usr_b")
    nobodys = await command("tasks", "watch", "tq_\x1b[2J", "--owner", OWNER)
    operators = await command("tasks", "watch", held.id, "--owner", '{"$ne": null}')

    assert (theirs.code, nobodys.code, operators.code) == (1, 1, 1)
    assert theirs.err == f"Error: there is no task '{held.id}' that you can see; check the id\n"
    assert "\x1b" not in nobodys.err
    assert theirs.out + nobodys.out + operators.out == ""


def _in_terminal(words: list[str], **environment: str) -> tuple[int, str]:
    """Run a command in a terminal of its own, and return its exit code and what the terminal got."""
    master, slave = pty.openpty()
    settings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "appdb", *words]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=settings | environment)
    os.close(slave)
    got = bytearray()
    while part := _read(master):
        got += part
    os.close(master)
    return process.wait(SECONDS), got.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""  # how a terminal says that its last user is gone


async def test_progress_bar_appears_only_in_terminal(
    mongo_uri: str, database: Database, worker: StandIn, held: Task
) -> None:
    await worker.progress(held, 0.5, "half\x1b[2J way, " + "世" * 100)
    await worker.end(held, "completed")
    words = ["--uri", mongo_uri, "--database", database.name, *watch(held)]
    drawn = await asyncio.to_thread(_in_terminal, words)
    plain = await asyncio.to_thread(_in_terminal, words, NO_COLOR="1")

    assert drawn[0] == plain[0] == 0
    assert "\r[############------------]  50% half\\x1b[2J way, 世" in drawn[1]
    assert "世" * 60 not in drawn[1]
    assert "\x1b[2J" not in drawn[1] + plain[1]
    assert "\x1b" not in plain[1]
    assert "progress   50% half" in plain[1]


async def test_colours_appear_only_in_terminal(
    mongo_uri: str, database: Database, command: CommandLine, worker: StandIn, held: Task
) -> None:
    await worker.end(held, "failed")
    words = ["tasks", "list", "--everybody"]
    options = ["--uri", mongo_uri, "--database", database.name]
    coloured = await asyncio.to_thread(_in_terminal, [*options, *words])
    plain = await asyncio.to_thread(_in_terminal, [*options, *words], NO_COLOR="1")

    assert "\x1b[31mfailed\x1b[0m" in coloured[1]
    assert "\x1b" not in plain[1] + (await command(*words)).out
