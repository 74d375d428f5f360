"""``appdb runs list, show, events, recover, cancel, delete``."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from appdb import Database, NewTask, TokenRepository, WorkflowRepository
from appdb import DbEventType as E
from appdb.models import LIVE_STATES, NewRun, NewUsage, Run, RunStatus, TaskFilter
from appsupport.cli.appdb_command import SECONDS, CommandLine
from appsupport.runs.run_events import asked, completed, event, started, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs


@pytest.fixture
def stored(database: Database) -> Runs:
    return Runs(database)


async def works(stored: Runs, project: str = "film", **changes: object) -> Run:
    run = await stored.begin(project, **changes)
    await stored.append(run, step_started("a"), started("a", "m"))
    return await stored.get(run)


async def asks(stored: Runs, project: str = "asks") -> Run:
    run = await works(stored, project)
    await stored.append(run, asked("a", "m", "f1", title="Which?\x1b[2J"))
    return await stored.get(run)


async def test_list_pages_are_last_activity_first(command: CommandLine, stored: Runs) -> None:
    made = [await works(stored, f"film {number}") for number in range(3)]
    first = await command("runs", "list", "--owner", OWNER, "--limit", "2")
    rest = await command("runs", "list", "--owner", OWNER, "--before", made[1].place, "--quiet")

    assert [line.split()[0] for line in first.out.splitlines()] == ["id", made[2].id, made[1].id]
    assert f"repeat with --before {made[1].place}" in first.err
    assert rest.out.split() == [made[0].id]
    refused = await command("runs", "list", "--owner", OWNER, "--before", "wf_1")
    assert (refused.code, refused.err) == (
        1,
        "Error: before: it is no place in this list; give the `place` of the last entry, or nothing\n",
    )


async def test_list_tells_whose_runs_it_shows(command: CommandLine, stored: Runs) -> None:
    mine = await works(stored)
    theirs, _ = await stored.workflows.open(NewRun(project="film"), owner_id=OTHER)
    answers = [await command("runs", "list", *whose, "--json") for whose in (["--owner", OWNER], ["--everybody"])]

    assert [[row["id"] for row in answer.rows()] for answer in answers] == [[mine.id], [theirs.id, mine.id]]
    for wrong in ([], ["--owner", OWNER, "--everybody"]):
        refused = await command("runs", "list", *wrong)
        assert (refused.code, "--owner ID, or --everybody" in refused.err) == (2, True)


async def test_list_filters_by_status_project_and_wait(command: CommandLine, stored: Runs) -> None:
    working, asking, again = await works(stored), await asks(stored), await asks(stored, "asks again")

    async def found(*filters: str) -> list[str]:
        answer = await command("runs", "list", "--everybody", "-q", *filters)
        assert answer.code == 0, answer.err
        return answer.out.split()

    assert await found("--status", "processing") == [working.id]
    assert await found("--status", "awaiting_input", "--project", "asks") == [asking.id]
    assert await found("--waiting") == [asking.id, again.id]
    assert await found("--since", "1h") == [again.id, asking.id, working.id]
    assert await found("--template", "tpl_1") == []
    assert await found("--stuck") == []
    assert await found("--stuck", "--unchanged-for", "0") == [working.id]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--waiting", "--status", "created"],
        ["--waiting", "--stuck"],
        ["--stuck", "--project", "film"],
        ["--unchanged-for", "1m"],
        ["--status", "busy"],
    ],
)
async def test_contradicting_filters_are_refused(command: CommandLine, wrong: list[str]) -> None:
    refused = await command("runs", "list", "--everybody", *wrong)

    assert (refused.code, "Error: " in refused.err) == (2, True)


@pytest.mark.parametrize("hostile", ['{"$ne": null}', "$owner_id", "", "\x1b[2J", "a.b"])
async def test_filter_value_is_never_operator(command: CommandLine, stored: Runs, hostile: str) -> None:
    await works(stored)
    for named in ("--owner", "--project", "--template"):
        whose = [] if named == "--owner" else ["--everybody"]
        listed = await command("runs", "list", "--json", *whose, named, hostile)
        assert (listed.code, listed.rows()) == (0, [])
    for verb in (["show"], ["events"], ["recover"], ["cancel"], ["delete", "--yes"]):
        refused = await command("runs", verb[0], hostile, *verb[1:])
        assert (refused.code, "there is no workflow run" in refused.err) == (1, True)
        assert "\x1b" not in refused.err


async def test_show_tells_waits_tasks_children_and_cost(command: CommandLine, stored: Runs) -> None:
    run = await asks(stored)
    child = await works(stored, "sub", parent_id=run.id)
    task = await stored.queue.enqueue(NewTask(owner_id=OWNER, actor="paint", payload={}, run_id=run.id))
    usage = NewUsage(provider="p", model="m", operation="draw", cost=Decimal("0.25"), input_tokens=1_200, run_id=run.id)
    await TokenRepository(stored.database).record(usage, owner_id=OWNER)
    shown = await command("runs", "show", run.id)
    (fields,) = (await command("runs", "show", run.id, "--owner", OWNER, "--json")).rows()

    for told in ("awaiting_input", run.branch_id, "question      f1", f"task          {task.id} queued paint"):
        assert told in shown.out
    assert f"child         {child.id} processing sub" in shown.out
    assert "0.25 USD for 1 calls" in shown.out
    assert "1,200 in, 0 out" in shown.out
    assert (fields["status"], fields["position"]["module"], fields["question"]["interaction_id"]) == (
        "awaiting_input",
        "m",
        "f1",
    )
    assert [row["id"] for row in fields["tasks"]] == [task.id]
    assert [row["id"] for row in fields["children"]] == [child.id]
    assert fields["usage"]["cost"] == "0.25"
    assert [(wait["kind"], wait["id"]) for wait in fields["waiting_on"]] == [("interaction", "f1")]
    assert (await command("runs", "show", run.id, "--owner", OTHER)).code == 1


async def test_events_are_those_that_count_or_all(command: CommandLine, stored: Runs) -> None:
    run = await works(stored)
    await stored.append(run, completed("a", "m", value="\x1b[2J"))
    await stored.states.jump(run.id, "a", None, owner_id=OWNER, branch_id=run.branch_id)
    counting = (await command("runs", "events", run.id, "--json")).rows()
    every = (await command("runs", "events", run.id, "--all", "--json")).rows()
    text = await command("runs", "events", run.id, "--all", "--after", "1")

    assert [row["type"] for row in counting] == ["workflow_created", "jump_requested"]
    assert [row["seq"] for row in every] == [0, 1, 2, 3, 4]
    lines = text.out.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3", "4"]
    assert "module_completed       a/m" in lines[1]
    assert "\x1b" not in text.out


@pytest.mark.parametrize(("end", "code"), [(E.WORKFLOW_COMPLETED, 0), (E.WORKFLOW_ERROR, 1), (E.WORKFLOW_CANCELLED, 3)])
async def test_followed_run_is_told_to_its_end(command: CommandLine, stored: Runs, end: E, code: int) -> None:
    run = await works(stored)
    process = command.start("runs", "events", run.id, "--follow", "--json")
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        lines = [await asyncio.to_thread(process.stdout.readline)]
        await stored.append(run, event(E.OUTPUT_STORED))
        await stored.append(run, event(end))
        lines += await asyncio.to_thread(process.stdout.readlines)
        ended = await asyncio.to_thread(process.wait)

    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2, 3, 4]
    assert ended == code


async def test_recover_says_first_and_mends_then(command: CommandLine, stored: Runs) -> None:
    run = await asks(stored)
    healthy = await command("runs", "recover", run.id)
    await stored.database.collection("workflow_runs").update_one({"_id": run.id}, {"$set": {"status": "processing"}})
    dry = await command("runs", "recover", run.id, "--dry-run")
    assert (await stored.get(run)).status is RunStatus.PROCESSING
    (mended,) = (await command("runs", "recover", run.id, "--json")).rows()

    assert "nothing to mend" in healthy.out
    assert f"run {run.id} would be mended: pending_unseen; processing becomes awaiting_input" in dry.out
    assert (mended["applied"], mended["status"]) == (True, (await stored.get(run)).status.value)


async def test_cancel_ends_run_with_its_tasks_and_children(command: CommandLine, stored: Runs) -> None:
    run = await asks(stored)
    child = await works(stored, "sub", parent_id=run.id)
    for worker in (run, child):
        await stored.queue.enqueue(NewTask(owner_id=OWNER, actor="paint", payload={}, run_id=worker.id))
    refused = await command("runs", "cancel", run.id, "--owner", OTHER)
    done = await command("runs", "cancel", run.id)
    again = await command("runs", "cancel", run.id, "--json")

    assert (refused.code, done.out, again.rows()[0]["status"]) == (1, f"run {run.id} is cancelled\n", "cancelled")
    assert (await stored.get(child)).status is RunStatus.CANCELLED
    assert await stored.queue.find(TaskFilter(owner_id=OWNER, states=LIVE_STATES)) == []


async def test_cancel_of_completed_run_says_what_to_do(command: CommandLine, stored: Runs) -> None:
    run = await works(stored)
    await stored.append(run, event(E.WORKFLOW_COMPLETED))
    refused = await command("runs", "cancel", run.id)

    assert (refused.code, refused.err) == (
        1,
        f"Error: workflow run {run.id}: it is completed, so it cannot be cancelled; delete it, or go back in it\n",
    )


async def test_delete_asks_first(command: CommandLine, stored: Runs) -> None:
    run = await works(stored)
    for stdin in ("", "n\n"):
        refused = await command("runs", "delete", run.id, stdin=stdin)
        assert (refused.code, "nothing was done" in refused.err) == (1, True)
        assert f"delete run {run.id} of project film for good?" in refused.err
    assert (await stored.get(run)).id == run.id
    deleted = await command("runs", "delete", run.id, stdin="y\n")

    assert (deleted.code, deleted.out) == (0, f"run {run.id} is deleted\n")
    assert await WorkflowRepository(stored.database).page(owner_id=OWNER) == []
    assert (await command("runs", "delete", run.id, "--yes")).code == 1
