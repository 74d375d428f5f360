"""``appdb tasks submit``: what is stored, what is refused, and the exit code that is the outcome."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from appdb import TaskState
from appsupport.cli.appdb_command import ACTOR, OWNER, QUEUE, CommandLine, StandIn, said

SUBMIT = ("tasks", "submit", ACTOR, "--owner", OWNER)
HOSTILE = {"$where": "1 == 1", "a.b": {"$ne": None}, "now": "$$NOW", "path": "$owner_id", "screen": "\x1b[2J\x9b31m"}


async def test_submitted_task_follows_announcement(command: CommandLine, worker: StandIn) -> None:
    answer = await command(*SUBMIT, "--payload", '{"prompt": "a fox"}', "--json")
    (row,) = answer.rows()
    task = await worker.queue.get(row["id"], owner_id=OWNER)

    assert answer.code == 0
    assert (task.actor_version, task.queue, task.max_attempts, task.timeout_seconds) == (3, QUEUE, 2, 90)
    assert task.payload == row["payload"] == {"prompt": "a fox"}


async def test_command_line_overrides_announcement(command: CommandLine, worker: StandIn) -> None:
    words = ["--queue", "slow", "--priority", "7", "--delay", "10m", "--max-attempts", "5", "--timeout", "1.5h"]
    answer = await command(*SUBMIT, *words, "--expires-in", "2d", "--json")
    task = await worker.queue.get(answer.rows()[0]["id"], owner_id=OWNER)

    assert (task.queue, task.priority, task.max_attempts, task.timeout_seconds) == ("slow", 7, 5, 5400)
    assert task.state is TaskState.SCHEDULED
    assert task.run_at - task.created_at == timedelta(minutes=10)
    assert task.expires_at is not None
    assert "no worker for actor 'paint@3' on queue 'slow' is alive" in answer.err


async def test_unannounced_actor_error_names_known_ones(command: CommandLine, worker: StandIn) -> None:
    answer = await command("tasks", "submit", "pant", "--owner", OWNER)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "Error: no worker has announced actor 'pant'; start one that has it, or choose from: paint\n"
    assert await worker.queue.page(owner_id=OWNER) == []


async def test_quiet_prints_only_id(command: CommandLine, worker: StandIn) -> None:
    answer = await command(*SUBMIT, "--quiet")

    assert [answer.out.strip()] == [task.id for task in await worker.queue.page(owner_id=OWNER)]
    assert answer.err == ""


@pytest.mark.parametrize(("outcome", "code"), [("completed", 0), ("failed", 1), ("cancelled", 3)])
async def test_wait_returns_outcome_as_exit_code(
    command: CommandLine, worker: StandIn, outcome: str, code: int
) -> None:
    waiting = asyncio.create_task(command(*SUBMIT, "--wait"))
    task = await worker.claim()
    await worker.progress(task, 0.5, "half\x1b[2J way")
    await worker.end(task, outcome)
    answer = await waiting

    assert answer.code == code
    assert "started    attempt 1 by worker worker-1" in answer.err
    assert r"progress   50% half\x1b[2J way" in answer.err
    assert f"task {task.id} is {outcome}" in answer.err
    assert "\x1b" not in answer.err + answer.out
    assert answer.out == ('{"text": "done"}\n' if code == 0 else "")


async def test_wait_for_failure_tells_why(command: CommandLine, worker: StandIn) -> None:
    waiting = asyncio.create_task(command(*SUBMIT, "--wait"))
    task = await worker.claim()
    await worker.end(task, "failed")

    assert r"is failed after 1 of 2 attempts: PaintError: no\x1b[2J paint" in (await waiting).err


async def test_json_wait_prints_only_final_task(command: CommandLine, worker: StandIn) -> None:
    waiting = asyncio.create_task(command(*SUBMIT, "--wait", "--json"))
    task = await worker.claim()
    await worker.end(task, "completed")
    answer = await waiting
    (row,) = answer.rows()

    assert (row["id"], row["state"], row["result"], answer.err) == (task.id, "completed", {"text": "done"}, "")


async def test_any_payload_is_stored_and_shown_harmlessly(command: CommandLine, worker: StandIn) -> None:
    submitted = await command(*SUBMIT, "--payload", json.dumps(HOSTILE), "--quiet")
    task = await worker.queue.get(submitted.out.strip(), owner_id=OWNER)
    shown = await command("tasks", "show", task.id, "--owner", OWNER)
    as_json = await command("tasks", "show", task.id, "--owner", OWNER, "--json")

    assert task.payload == HOSTILE
    assert not set(shown.out) & {"\x1b", "\x9b"}
    assert r"\\u001b" in shown.out or r"\u001b" in shown.out
    assert as_json.out.isascii()
    assert as_json.rows()[0]["payload"] == HOSTILE


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ('{"a": 1,\n "b" 2}', "line 2, column 6"),
        ("[1]", "it must be a JSON object, and this is a list"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ('{"a": "' + "x" * (4 << 20) + '"}', "store large data as content"),
        ("[" * 100_000, "not JSON"),
        ("\udcff", "not JSON"),
    ],
    ids=["broken", "list", "nan", "large", "deep", "bytes"],
)
async def test_invalid_json_payload_error_tells_place(
    command: CommandLine, worker: StandIn, tmp_path: Path, payload: str, problem: str
) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(payload.encode("utf-8", "surrogateescape"))
    answer = await command(*SUBMIT, "--payload-file", str(file))

    assert answer.code == 2
    assert problem in answer.err
    assert await worker.queue.page(owner_id=OWNER) == []


@pytest.mark.parametrize(
    "payload",
    ['{"a": "\\ud800"}', json.dumps({"a": "x" * 300_000}), '{"a": 99999999999999999999}', '{"\\u0000": 1}'],
    ids=["surrogate", "large", "huge number", "nul in a name"],
)
async def test_unstorable_payload_is_told_in_one_line(command: CommandLine, worker: StandIn, payload: str) -> None:
    answer = await command(*SUBMIT, "--payload-file", "-", stdin=payload)

    assert answer.code == 1
    assert answer.err.startswith("Error: payload: ")
    assert answer.err.count("\n") == 1
    assert await worker.queue.page(owner_id=OWNER) == []


async def test_payload_comes_from_one_place_only(command: CommandLine, worker: StandIn) -> None:
    piped = await command(*SUBMIT, "--payload-file", "-", "--quiet", stdin='{"from": "pipe"}')
    both = await command(*SUBMIT, "--payload-file", "-", "--payload", "{}", stdin="{}")

    assert (await worker.queue.get(piped.out.strip(), owner_id=OWNER)).payload == {"from": "pipe"}
    assert both.code == 2
    assert "not both" in both.err


async def test_unique_key_returns_first_task_or_conflicts(command: CommandLine, worker: StandIn) -> None:
    first, again, other = [
        await command(*SUBMIT, "--unique-key", "order-1", "--quiet", "--payload", payload)
        for payload in ("{}", "{}", '{"a": 1}')
    ]

    assert first.out == again.out
    assert (first.code, again.code, other.code) == (0, 0, 1)
    assert "use a new key" in other.err
    assert len(await worker.queue.page(owner_id=OWNER)) == 1


async def test_ctrl_c_stops_waiting_not_task(command: CommandLine, worker: StandIn) -> None:
    process = command.start(*SUBMIT, "--wait")
    task = await worker.claim()
    assert process.stderr is not None
    while "started" not in await asyncio.to_thread(process.stderr.readline):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    answer = await said(process)

    assert answer.code == 130
    assert f"task {task.id} goes on; look again with `appdb tasks watch {task.id}`" in answer.err
    assert "Traceback" not in answer.err
    assert (await worker.queue.get(task.id, owner_id=OWNER)).state is TaskState.PROCESSING


@pytest.mark.parametrize("value", ["", "soon", "-1s", "1y", "1e3", "99999d", "٣s"])
async def test_unreadable_duration_is_refused(command: CommandLine, worker: StandIn, value: str) -> None:
    answer = await command(*SUBMIT, "--delay", value)

    assert answer.code == 2
    assert repr(value) in answer.err
    assert await worker.queue.page(owner_id=OWNER) == []
