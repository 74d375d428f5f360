"""``appdb tasks list, show, cancel, retry, stats``, ``appdb queues`` and ``appdb limits``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from appdb import Database, Lease, NewTask, Task, TaskState
from appdb.embedded import free_port
from appsupport.cli.appdb_command import ACTOR, OWNER, QUEUE, CommandLine, StandIn
from appsupport.runs.run_repositories import open_run

TASK = NewTask(owner_id=OWNER, actor=ACTOR, actor_version=3, queue=QUEUE, payload={"prompt": "a fox"}, max_attempts=2)


async def add(worker: StandIn, count: int, **changes: object) -> list[Task]:
    return [await worker.queue.enqueue(replace(TASK, **changes)) for _ in range(count)]  # type: ignore[arg-type]


async def failed(worker: StandIn, count: int) -> list[Task]:
    tasks = []
    for _ in range(count):
        await worker.queue.enqueue(TASK)
        task = await worker.claim()
        await worker.end(task, "failed")
        tasks.append(task)
    return tasks


async def states(worker: StandIn, owner: str = OWNER) -> list[str]:
    return [task.state.value for task in await worker.queue.page(owner_id=owner)]


async def test_list_pages_are_newest_first(command: CommandLine, worker: StandIn) -> None:
    ids = [task.id for task in await add(worker, 5)]
    first = await command("tasks", "list", "--owner", OWNER, "--limit", "3")
    rest = await command("tasks", "list", "--owner", OWNER, "--limit", "3", "--before", ids[2], "--quiet")

    assert [line.split()[0] for line in first.out.splitlines()] == ["id", *reversed(ids[2:])]
    assert f"repeat with --before {ids[2]}" in first.err
    assert (rest.out.split(), rest.err) == ([ids[1], ids[0]], "")


async def test_list_tells_whose_tasks_it_shows(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 1)
    await add(worker, 1, owner_id="usr_b")
    mine = await command("tasks", "list", "--owner", OWNER, "--json")
    all_of_them = await command("tasks", "list", "--everybody", "--json")

    assert [row["owner_id"] for row in mine.rows()] == [OWNER]
    assert [row["owner_id"] for row in all_of_them.rows()] == ["usr_b", OWNER]
    for wrong in ([], ["--owner", OWNER, "--everybody"]):
        refused = await command("tasks", "list", *wrong)
        assert refused.code == 2
        assert "--owner ID, or --everybody" in refused.err


async def test_list_filters_by_state_queue_actor_age(command: CommandLine, worker: StandIn) -> None:
    (_, other), (done,) = await add(worker, 2, queue="other"), await failed(worker, 1)

    async def found(*filters: str) -> list[str]:
        answer = await command("tasks", "list", "--everybody", "--json", *filters)
        assert answer.code == 0
        return [row["id"] for row in answer.rows()]

    assert await found("--state", "failed") == [done.id]
    assert (await found("--state", "failed", "--state", "queued"))[:2] == [done.id, other.id]
    assert (await found("--queue", "other"))[0] == other.id
    assert await found("--queue", "other", "--actor", "nobody") == []
    assert await found("--older-than", "1h") == []
    assert len(await found("--newer-than", "1h")) == 3


async def test_list_filters_by_run_and_module(command: CommandLine, worker: StandIn, database: Database) -> None:
    await open_run(database, "wf_1", owner_id=OWNER)
    wanted, other, _ = (
        await add(worker, 1, run_id="wf_1", module="draw", step="one"),
        await add(worker, 1, run_id="wf_1"),
        await add(worker, 1),
    )
    of_run = await command("tasks", "list", "--owner", OWNER, "--run", "wf_1", "--json")
    of_module = await command("tasks", "list", "--owner", OWNER, "--run", "wf_1", "--module", "draw", "--json")
    without_run = await command("tasks", "list", "--owner", OWNER, "--module", "draw")
    shown = await command("tasks", "show", wanted[0].id)

    assert [row["id"] for row in of_run.rows()] == [other[0].id, wanted[0].id]
    assert [row["id"] for row in of_module.rows()] == [wanted[0].id]
    assert (without_run.code, "--run" in without_run.err) == (2, True)
    assert "works for     run wf_1, step one, module draw" in shown.out


@pytest.mark.parametrize("hostile", ['{"$ne": null}', "$owner_id", "", "\x1b[2J", "a.b"])
async def test_filter_value_is_never_operator(command: CommandLine, worker: StandIn, hostile: str) -> None:
    await add(worker, 1)
    for filters in (["--owner", hostile], ["--everybody", "--queue", hostile], ["--everybody", "--actor", hostile]):
        listed = await command("tasks", "list", "--json", *filters)
        cancelled = await command("tasks", "cancel", "--all", "--yes", "--json", *filters)
        assert (listed.code, listed.rows(), cancelled.rows()) == (0, [], [{"cancelled": 0}])

    assert await states(worker) == ["queued"]


async def test_show_tells_errors_events_and_children(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 1)
    task = await worker.claim()
    await worker.queue.spawn(Lease.of(task), "part", replace(TASK, payload={"part": 1}))
    await worker.queue.fail(Lease.of(task), "PaintError", "dry\x1b[2J", retry_in=timedelta(hours=1))
    as_text = await command("tasks", "show", task.id, "--owner", OWNER, "--events")
    as_json = await command("tasks", "show", task.id, "--owner", OWNER, "--events", "--json")
    (row,) = as_json.rows()

    assert "attempt       1 of 2" in as_text.out
    assert r"PaintError: dry\x1b[2J" in as_text.out
    assert "again in 3600.0 s" in as_text.out
    assert f"child         {row['children'][0]['id']} queued paint" in as_text.out
    assert [event["type"] for event in row["events"]] == ["started", "retrying"]
    assert [error["type"] for error in row["errors"]] == ["PaintError"]


async def test_no_command_shows_lease_token(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 1)
    task = await worker.claim()
    assert task.lease is not None
    for words in (["show", task.id, "--owner", OWNER], ["list", "--everybody"]):
        for options in ([], ["--json"]):
            answer = await command("tasks", *words, *options)
            assert answer.code == 0
            assert task.lease.token not in answer.out


async def test_cancel_takes_only_live_task(command: CommandLine, worker: StandIn) -> None:
    (task,), (done,) = await add(worker, 1, delay=timedelta(hours=1)), await failed(worker, 1)
    first = await command("tasks", "cancel", task.id, "--owner", OWNER)
    too_late = await command("tasks", "cancel", done.id, "--owner", OWNER)
    theirs = await command("tasks", "cancel", task.id, "--owner", "usr_b")

    assert (first.code, first.out) == (0, f"task {task.id} is cancelled\n")
    assert too_late.code == 1
    assert "already failed" in too_late.err
    assert theirs.code == 1
    assert "check the id" in theirs.err


@pytest.mark.parametrize("answer", ["n\n", "", "\n"])
async def test_cancel_many_needs_confirmation(command: CommandLine, worker: StandIn, answer: str) -> None:
    await add(worker, 3)
    refused = await command("tasks", "cancel", "--all", "--owner", OWNER, stdin=answer)

    assert refused.code == 1
    assert "cancel 3 tasks?" in refused.err
    assert "nothing was done; answer y, or repeat with --yes" in refused.err
    assert await states(worker) == ["queued"] * 3


async def test_confirmed_cancel_takes_all_matches(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 2)
    await add(worker, 2, queue="other")
    await add(worker, 1, owner_id="usr_b")
    first = await command("tasks", "cancel", "--all", "--owner", OWNER, "--queue", "other", stdin="y\n")
    rest = await command("tasks", "cancel", "--all", "--owner", OWNER, "--yes")

    assert (first.code, first.out) == (0, "2 tasks are cancelled\n")
    assert (rest.code, rest.out) == (0, "2 tasks are cancelled\n")
    assert await states(worker) == ["cancelled"] * 4
    assert await states(worker, "usr_b") == ["queued"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("cancel", "name one TASK_ID, or give --all"),
        (f"cancel --owner {OWNER}", "name one TASK_ID, or give --all"),
        (f"cancel tq_1 --all --owner {OWNER}", "name one TASK_ID, or give --all"),
        ("cancel tq_1 --everybody", "with TASK_ID give no filters"),
        (f"cancel tq_1 --owner {OWNER} --queue q", "with TASK_ID give no filters"),
        ("cancel --all", "--owner ID, or --everybody"),
        (f"cancel --all --owner {OWNER} --state completed", "cannot be done to completed tasks"),
        (f"retry --all --owner {OWNER} --state queued", "cannot be done to queued tasks"),
        (f"retry --all --owner {OWNER} --payload {{}}", "--payload is for one TASK_ID"),
        (f"retry --owner {OWNER}", "name one TASK_ID, or give --all"),
    ],
)
async def test_ambiguous_command_is_refused(command: CommandLine, worker: StandIn, words: str, problem: str) -> None:
    await add(worker, 1)
    refused = await command("tasks", *words.split())

    assert (refused.code, refused.out) == (2, "")
    assert problem in refused.err
    assert await states(worker) == ["queued"]


async def test_failed_task_is_retried_as_new_one(command: CommandLine, worker: StandIn) -> None:
    (done,) = await failed(worker, 1)
    words = ("tasks", "retry", done.id, "--owner", OWNER, "--json", "--key", "again")
    (row,), (repeated,) = (await command(*words)).rows(), (await command(*words)).rows()
    edited = await command("tasks", "retry", done.id, "--owner", OWNER, "--json", "--payload", '{"prompt": "$$NOW"}')
    again = await worker.queue.get(row["id"], owner_id=OWNER)

    assert row["id"] == repeated["id"] != done.id
    assert (again.replay_of, again.payload, again.state) == (done.id, done.payload, TaskState.QUEUED)
    assert edited.rows()[0]["payload"] == {"prompt": "$$NOW"}
    assert (await worker.queue.get(done.id, owner_id=OWNER)).state is TaskState.FAILED


async def test_retry_makes_waiting_task_due_spares_running(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 1)
    task = await worker.claim()
    running = await command("tasks", "retry", task.id, "--owner", OWNER)
    await worker.queue.fail(Lease.of(task), "PaintError", "dry", retry_in=timedelta(hours=1))
    waiting = await command("tasks", "retry", task.id, "--owner", OWNER)

    assert running.code == 1
    assert task.id in running.err
    assert (waiting.code, waiting.out) == (0, f"task {task.id} is queued\n")
    assert (await worker.claim()).id == task.id


async def test_completed_task_needs_payload_to_run_again(command: CommandLine, worker: StandIn) -> None:
    await add(worker, 1)
    task = await worker.claim()
    await worker.end(task, "completed")
    refused = await command("tasks", "retry", task.id, "--owner", OWNER)
    edited = await command("tasks", "retry", task.id, "--owner", OWNER, "--payload", "{}")

    assert (refused.code, edited.code) == (1, 0)
    assert f"it repeats {task.id}" in edited.out


async def test_many_failed_tasks_replay_once_per_key(command: CommandLine, worker: StandIn) -> None:
    await failed(worker, 3)
    asked = await command("tasks", "retry", "--all", "--owner", OWNER, stdin="n\n")
    words = ("tasks", "retry", "--all", "--owner", OWNER, "--yes", "--quiet", "--key", "monday")
    first, again = await command(*words), await command(*words)

    assert asked.code == 1
    assert len(set(first.out.split())) == 3
    assert sorted(first.out.split()) == sorted(again.out.split())
    assert sorted(await states(worker)) == ["failed"] * 3 + ["queued"] * 3


async def test_statistics_count_each_queue(command: CommandLine, worker: StandIn) -> None:
    await failed(worker, 1)
    await add(worker, 2)
    await add(worker, 1, delay=timedelta(hours=1))
    await command("queues", "pause", QUEUE)
    as_json = await command("tasks", "stats", "--json")
    as_text = await command("tasks", "stats", "--window", "1ms")
    (row,) = as_json.rows()

    assert row["oldest_queued_seconds"] >= 0
    assert {name: row[name] for name in ("queue", "paused", "scheduled", "queued", "processing", "finished")} == {
        "queue": QUEUE,
        "paused": True,
        "scheduled": 1,
        "queued": 2,
        "processing": 0,
        "finished": {"completed": 0, "failed": 1, "cancelled": 0},
    }
    assert as_text.out.splitlines()[1].split()[:8] == [QUEUE, "yes", "1", "2", "0", "0", "0", "0"]


async def test_paused_queue_gives_nothing_until_resumed(command: CommandLine, worker: StandIn) -> None:
    (task,) = await add(worker, 1)
    paused = await command("queues", "pause", QUEUE)
    listed = await command("queues", "list", "--json")
    resumed = await command("queues", "resume", QUEUE)
    again = await command("queues", "list")

    assert (paused.code, resumed.code) == (0, 0)
    assert listed.rows() == [{"queue": QUEUE, "paused": True, "queued": 1, "processing": 0, "workers": 1}]
    assert again.out.splitlines()[1].split() == [QUEUE, "no", "1", "0", "1"]
    assert (await worker.claim()).id == task.id


async def test_limits_are_set_listed_and_cleared(command: CommandLine) -> None:
    concurrency = await command("limits", "set", "provider:local", "--concurrency", "2")
    rate = await command("limits", "set", "$user.a", "--rate", "10", "--per", "1m")
    listed = await command("limits", "list", "--json")
    as_text = await command("limits", "list")
    await command("limits", "clear", "provider:local")
    left = await command("limits", "list", "--json")

    assert (concurrency.code, rate.code) == (0, 0)
    assert listed.rows() == [
        {"key": "$user.a", "concurrency": None, "rate": 10, "per_seconds": 60.0},
        {"key": "provider:local", "concurrency": 2, "rate": None, "per_seconds": None},
    ]
    assert as_text.out.splitlines()[1].split() == ["$user.a", "-", "10", "60.00"]
    assert [row["key"] for row in left.rows()] == ["$user.a"]


@pytest.mark.parametrize("words", [["k"], ["k", "--concurrency", "0"], ["", "--rate", "1"], ["k", "--rate", "many"]])
async def test_limit_without_bound_is_refused(command: CommandLine, words: list[str]) -> None:
    assert (await command("limits", "set", *words)).code == 2
    assert (await command("limits", "list", "--json")).rows() == []


async def test_missing_database_is_one_line_with_remedy() -> None:
    nowhere = CommandLine(f"mongodb://127.0.0.1:{free_port()}/?replicaSet=rs0", "app")
    answer = await nowhere("tasks", "stats")

    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "appdb dev-db" in answer.err
