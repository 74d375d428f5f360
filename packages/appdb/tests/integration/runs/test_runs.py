"""Runs: opened once, listed in pages, ended, begun again, and moved to other versions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, InvalidDataError, NewTask, NotFoundError, TooLargeError
from appdb.models import NewRun, RunStatus, TaskFilter
from appdb.runs import run_versions as versions
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import asked, completed, event, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

E = DbEventType


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def test_project_has_one_open_run(runs: Runs) -> None:
    first, made = await runs.workflows.open(NewRun(project="film"), owner_id=OWNER)
    second, made_again = await runs.workflows.open(NewRun(project="film"), owner_id=OWNER)
    others, made_for_another = await runs.workflows.open(NewRun(project="film"), owner_id=OTHER)

    assert (made, made_again, made_for_another) == (True, False, True)
    assert first == second
    assert others.id != first.id
    assert (first.status, first.open, first.event_count) == (RunStatus.CREATED, True, 1)
    assert [entry.type for entry in await runs.log(first)] == [E.WORKFLOW_CREATED]


async def test_ended_run_makes_room_for_next(runs: Runs) -> None:
    first = await runs.begin()
    ended = await runs.workflows.set_status(first.id, RunStatus.COMPLETED, owner_id=OWNER, branch_id=first.branch_id)
    second = await runs.begin()

    assert (ended.status, ended.open) == (RunStatus.COMPLETED, False)
    assert ended.completed_at is not None
    assert second.id != first.id
    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.workflows.set_status(first.id, RunStatus.PROCESSING, owner_id=OWNER, branch_id=first.branch_id)
    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.workflows.reset(first.id, owner_id=OWNER, branch_id=first.branch_id)
    assert (await runs.get(first)).event_count == 2


async def test_repeated_open_returns_same_run(runs: Runs) -> None:
    new = NewRun(project="film")
    run, _ = await runs.workflows.open(new, owner_id=OWNER)
    await runs.append(run, event(E.WORKFLOW_CANCELLED))
    again, made = await runs.workflows.open(new, owner_id=OWNER)

    assert (again.id, again.status, made) == (run.id, RunStatus.CANCELLED, False)
    with pytest.raises(ConflictError, match="its id is taken"):
        await runs.workflows.open(new, owner_id=OTHER)


async def test_run_id_reused_for_other_run_conflicts(runs: Runs) -> None:
    new = NewRun(project="film", data={"n": 1})
    run, _ = await runs.workflows.open(new, owner_id=OWNER)
    for other in (replace(new, project="song"), replace(new, data={"n": 2}), replace(new, parent_id=run.id)):
        with pytest.raises(ConflictError, match=run.id):
            await runs.workflows.open(other, owner_id=OWNER)

    assert await runs.workflows.open(replace(new, event_id="evt_x"), owner_id=OWNER) == (run, False)


async def test_run_joins_callers_transaction(runs: Runs) -> None:
    async def body(session: Any) -> str:
        run, _ = await runs.workflows.open(NewRun(project="film"), owner_id=OWNER, session=session)
        await runs.events.append(run.id, [step_started("a")], owner_id=OWNER, branch_id=run.branch_id, session=session)
        task = NewTask(owner_id=OWNER, actor="engine", payload={}, run_id=run.id)
        await runs.queue.enqueue(task, session=session)
        return run.id

    async def failing(session: Any) -> None:
        await body(session)
        raise KeyError

    with pytest.raises(KeyError):
        await runs.database.transaction(failing)
    assert await runs.workflows.page(owner_id=OWNER) == []
    run_id = await runs.database.transaction(body)

    run = await runs.workflows.get(run_id, owner_id=OWNER)
    assert (run.event_count, run.status) == (2, RunStatus.PROCESSING)
    assert len(await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=run_id))) == 1
    assert await runs.queue.find(TaskFilter(owner_id=OWNER, run_id="wf_other")) == []


async def test_runs_are_paged_newest_first(runs: Runs) -> None:
    made = [await runs.begin(f"film {number}") for number in range(5)]
    await runs.append(made[1], event(E.WORKFLOW_ERROR, error="no"))
    child = await runs.begin("sub", parent_id=made[0].id)

    first = await runs.workflows.page(owner_id=OWNER, limit=3)
    second = await runs.workflows.page(owner_id=OWNER, limit=3, before=first[-1].id)
    assert [run.id for run in first + second] == [run.id for run in reversed(made)]
    failed = await runs.workflows.page(owner_id=OWNER, statuses=[RunStatus.ERROR])
    assert [run.id for run in failed] == [made[1].id]
    assert [run.id for run in await runs.workflows.page(owner_id=OWNER, project="film 3")] == [made[3].id]
    assert [run.id for run in await runs.workflows.children(made[0].id, owner_id=OWNER)] == [child.id]
    assert await runs.workflows.page(owner_id=OTHER) == []


async def test_newest_first_follows_database_time(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = [f"{number:02}" for number in reversed(range(9))]
    made = [await runs.begin(f"film {n}", run_id=f"wf_{n}", version_id="ver_0") for n in backwards]
    run = made[-1]
    for n in backwards:
        now = await runs.get(run)
        await runs.workflows.reset(run.id, owner_id=OWNER, branch_id=now.branch_id, new_branch_id=f"br_{n}")
        monkeypatch.setattr(versions, "uuid7_str", lambda _, n=n: f"rv_{n}")
        await runs.workflows.set_version(run.id, f"ver_{n}x", owner_id=OWNER)
    listed = [
        await everything(runs.workflows.page),
        (await everything(runs.branches.page, run.id))[:-1],
        (await everything(runs.workflows.versions, run.id))[:-1],
    ]

    newest_first = backwards[::-1]
    assert listed == [[f"{prefix}_{n}" for n in newest_first] for prefix in ("wf", "br", "rv")]
    assert await everything(partial(runs.workflows.page, statuses=list(RunStatus))) == listed[0]
    for page in (runs.workflows.page, partial(runs.branches.page, run.id), partial(runs.workflows.versions, run.id)):
        with pytest.raises(NotFoundError, match="none"):
            await page(owner_id=OWNER, before="none")


async def everything(page: Any, *about: str) -> list[str]:
    """Return the ids of a whole list, read in pages."""
    seen: list[str] = []
    while rows := await page(*about, owner_id=OWNER, limit=2, before=seen[-1] if seen else None):
        seen += [row.id for row in rows]
    return seen


async def test_child_run_does_not_occupy_project(runs: Runs) -> None:
    parent = await runs.begin("film")
    child = await runs.begin("film", parent_id=parent.id)

    assert child.id != parent.id
    found = await runs.workflows.find_open("film", owner_id=OWNER)
    assert found is not None
    assert found.id == parent.id
    with pytest.raises(NotFoundError):
        await runs.workflows.open(NewRun(project="x", parent_id=parent.id), owner_id=OTHER)


async def test_derived_status_cannot_be_set(runs: Runs) -> None:
    run = await runs.begin()

    for status in (RunStatus.CREATED, RunStatus.AWAITING_INPUT):
        with pytest.raises(InvalidDataError):
            await runs.workflows.set_status(run.id, status, owner_id=OWNER, branch_id=run.branch_id)


async def test_only_answer_resumes_awaiting_run(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"), asked("a", "m", "f1"))
    waits = await runs.get(run)
    set_status = partial(runs.workflows.set_status, run.id, RunStatus.PROCESSING, owner_id=OWNER)
    told = [await set_status(branch_id=run.branch_id) for _ in range(3)]

    assert told == [waits] * 3
    assert waits.status is RunStatus.AWAITING_INPUT
    assert (await runs.get(run)).event_count == 3


async def test_cancelled_run_is_final_until_resumed(runs: Runs) -> None:
    run = await runs.begin()
    for _ in range(2):
        await runs.workflows.set_status(run.id, RunStatus.CANCELLED, owner_id=OWNER, branch_id=run.branch_id)

    with pytest.raises(ConflictError, match="it is cancelled"):
        await runs.append(run, step_started("a"))
    with pytest.raises(ConflictError, match="it is cancelled"):
        await runs.workflows.set_status(run.id, RunStatus.COMPLETED, owner_id=OWNER, branch_id=run.branch_id)
    assert (await runs.get(run)).event_count == 2
    await runs.append(run, event(E.WORKFLOW_RESUMED), step_started("a"))
    check_cache(await runs.get(run), await runs.state(run))


async def test_reset_begins_again_and_deletes_nothing(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"), completed("a", "m", x=1), asked("a", "n", "f1"))
    reset = partial(runs.workflows.reset, run.id, owner_id=OWNER, branch_id=run.branch_id, new_branch_id="br_new")
    branch = await reset(data={"genre": "noir"})
    again = await reset(data={"genre": "noir"})
    with pytest.raises(ConflictError, match="br_new"):
        await reset()

    now, state = await runs.get(run), await runs.state(run)
    assert again == branch
    assert (branch.parent_id, now.branch_id) == (None, branch.id)
    assert (state.status, state.module_outputs(), state.seq) == (RunStatus.CREATED, {}, 4)
    check_cache(now, state)
    log = await runs.log(run)
    assert [entry.seq for entry in log] == [0, 1, 2, 3, 4]
    assert log[-1].data == {"genre": "noir", "reset": True, "previous_branch_id": run.branch_id, "cutoff_seq": None}
    assert (await runs.branches.root(run.id, owner_id=OWNER)).id == branch.id


async def test_run_remembers_its_versions(runs: Runs) -> None:
    run = await runs.begin(version_id="ver_1")
    for version in ("ver_2", "ver_2", "ver_1"):
        await runs.workflows.set_version(
            run.id, version, owner_id=OWNER, capabilities=["form"], requires=[{"$ref": "x", "$id": 1}]
        )
    await runs.append(run, step_started("a"))

    history = await runs.workflows.versions(run.id, owner_id=OWNER)
    assert [entry.version_id for entry in history] == ["ver_1", "ver_2", "ver_1"]
    assert history[0].requires == [{"$ref": "x", "$id": 1}]
    rest = await runs.workflows.versions(run.id, owner_id=OWNER, before=history[0].id, limit=1)
    assert rest == [history[1]]
    assert [entry.version_id for entry in await runs.log(run)] == ["ver_1", "ver_1"]
    with pytest.raises(NotFoundError):
        await runs.workflows.versions(run.id, owner_id=OTHER)


async def test_names_and_data_of_new_runs_are_limited(runs: Runs) -> None:
    with pytest.raises(InvalidDataError):
        await runs.begin("")
    with pytest.raises(InvalidDataError):
        await runs.begin("x" * 1_001)
    with pytest.raises(TooLargeError):
        await runs.begin(data={"text": "x" * 300_000})
    assert await runs.workflows.page(owner_id=OWNER) == []


HOSTILE = ["$lease.token", "$$ROOT", "a.b", '{"$gt": ""}', "position.ended", "\u0000x"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_user_text_stays_text(runs: Runs, text: str) -> None:
    data = {text.replace("\u0000", "0"): text, "$set": {"$ref": text, "$id": {"$gt": ""}}, "a.b": {"$oid": text}}
    run = await runs.begin(text, data=data)
    await runs.append(run, step_started(text), asked(text, text, text, **{"$where": text, "a.b": [data]}))
    await runs.append(run, completed(text, text, {text.replace("\u0000", "0"): text}, **data))
    branch = await runs.states.branch_from_interaction(run.id, text, owner_id=OWNER, branch_id=run.branch_id)

    now, state = await runs.get(run), await runs.state(run)
    assert (now.project, now.position.step, now.position.interaction_id) == (text, text, text)
    assert state.pending is not None
    assert state.pending.data == {"interaction_id": text, "$where": text, "a.b": [data]}
    assert (await runs.log(run))[0].data == data
    assert now.branch_id == branch.id
    found = await runs.workflows.find_open(text, owner_id=OWNER)
    assert found is not None
    assert found.id == run.id
