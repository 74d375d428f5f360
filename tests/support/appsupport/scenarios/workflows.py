"""Scenarios of ``WorkflowRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from appdb import DbEventType, EventRepository, Limit, NewTask, TaskQueue, VersionRepository, WorkflowRepository
from appdb._driver import RawDocument, Session
from appdb.models import NewRun, NewRunEvent, Run, RunStatus, RunVersion, TaskFilter
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import PROJECT, begin, begun, branch_of, forked, worked

ENDED = "old film"
ON_BEGIN = ("actor", "payload", "queue", "limits.key", "step", "module", "sub_action_id", "interaction_id")
FAR = datetime(2999, 1, 1, tzinfo=UTC)


async def _child(stage: Stage) -> str:
    run_id = await begun(stage)
    for _ in range(3):
        await begin(stage, project="sub", parent_id=run_id)
    return run_id


async def _versioned(stage: Stage) -> str:
    run_id = await begin(stage, version_id="ver_0")
    for number in range(1, 5):
        await WorkflowRepository(stage.database).set_version(run_id, f"ver_{number}", owner_id=stage.owner)
    return run_id


async def _many(stage: Stage) -> str:
    """Make runs of all kinds, and return the id of the newest."""
    await begun(stage)
    for number in range(10):
        last = await begin(stage, project=ENDED)
        await WorkflowRepository(stage.database).set_status(
            last, RunStatus.CANCELLED, owner_id=stage.owner, branch_id=branch_of(last)
        )
        last = await begin(stage, project=f"film {number}")
    return last


async def _of_template(stage: Stage) -> str:
    """Make runs of a template among others, and return the template's id."""
    template = await VersionRepository(stage.database).get_or_create_template("film", owner_id=stage.owner)
    for number in range(3):
        await begin(stage, project=f"film {number}", template_id=template.id)
        await begin(stage, project=f"other {number}")
    return template.id


async def _cut_off(stage: Stage) -> str:
    """Make a run whose cancel went no further than its event."""
    run_id = await begun(stage)
    await WorkflowRepository(stage.database).set_status(
        run_id, RunStatus.CANCELLED, owner_id=stage.owner, branch_id=branch_of(run_id)
    )
    return run_id


async def _crowded(stage: Stage) -> str:
    """Make a run, and others that wait for its end, and return its id."""
    run_id = await begun(stage)
    for _ in range(3):
        await begin(stage, on_begin=_look(stage.owner))
    return run_id


async def _stranded(stage: Stage) -> str:
    """Make a run that waits though none is open, as hosts of an older release leave it."""
    first = await begun(stage)
    run_id = await begin(stage, on_begin=_look(stage.owner))
    ended = {"status": "cancelled", "position.ended": "cancelled", "open": False}
    await stage.database.collection("workflow_runs").update_one({"_id": first}, {"$set": ended})
    return run_id


def _look(owner_id: str) -> NewTask:
    return NewTask(owner_id=owner_id, actor="look", payload={})


async def _doomed(stage: Stage) -> str:
    run_id = await worked(stage)
    await stage.database.collection("workflow_runs").update_one(
        {"_id": run_id}, {"$set": {"deleting": True, "open": False, "listed": False}}
    )
    return run_id


def _open(workflows: WorkflowRepository, _: object, owner_id: str) -> Any:
    new = NewRun(project=PROJECT, run_id=f"wf_{owner_id}", branch_id=f"br_{owner_id}", event_id=f"evt_{owner_id}")
    return workflows.open(new, owner_id=owner_id)


def _open_behind(workflows: WorkflowRepository, _: object, owner_id: str) -> Any:
    ids: dict[str, Any] = {"run_id": f"wf_{owner_id}", "branch_id": f"br_{owner_id}", "event_id": f"evt_{owner_id}"}
    return workflows.open(NewRun(project=PROJECT, on_begin=_look(owner_id), **ids), owner_id=owner_id)


def _open_child(workflows: WorkflowRepository, made: str, owner_id: str) -> Any:
    return workflows.open(NewRun(project="sub", parent_id=made), owner_id=owner_id)


async def _hold(workflows: WorkflowRepository, made: str, owner_id: str) -> Run:
    async def body(session: Session) -> Run:
        return await workflows.hold(made, owner_id=owner_id, session=session)

    return await workflows._connection.transaction(body)


def _set_status(workflows: WorkflowRepository, made: str, owner_id: str) -> Any:
    return workflows.set_status(made, RunStatus.CANCELLED, owner_id=owner_id, branch_id=branch_of(made))


def _reset(workflows: WorkflowRepository, made: str, owner_id: str) -> Any:
    return workflows.reset(made, owner_id=owner_id, branch_id=branch_of(made))


async def _open_text(stage: Stage, text: str) -> Mapping[str, object]:
    workflows = WorkflowRepository(stage.database)
    new = NewRun(project=text, version_id=text, data=hostile_json(text))
    begun = [
        NewRunEvent(type=DbEventType.STEP_STARTED, step=text),
        NewRunEvent(type=DbEventType.MODULE_STARTED, step=text, module=text, data=hostile_json(text)),
    ]
    made, _ = await workflows.open(new, owner_id=stage.owner, events=begun)
    read = await workflows.find_open(text, owner_id=stage.owner)
    assert read == made
    assert await workflows.page(owner_id=stage.owner, project=text) == [made]
    first, _, last = await EventRepository(stage.database).log(made.id, owner_id=stage.owner)
    (version,) = await workflows.versions(made.id, owner_id=stage.owner)
    assert version.version_id == first.version_id == text
    return {
        "new.project": made.project,
        "new.version_id": made.version_id,
        "new.data": told(text, first.data),
        "events.step": last.step,
        "events.module": last.module,
        "events.data": told(text, last.data),
        **await _begin_text(stage, text, made),
    }


async def _begin_text(stage: Stage, text: str, first: Run) -> Mapping[str, object]:
    """Let a run wait behind the *first*, and return what the task of its beginning holds."""
    labels: dict[str, Any] = dict.fromkeys(("step", "module", "sub_action_id", "interaction_id"), text)
    look = NewTask(
        owner_id=stage.owner,
        actor=text,
        payload=hostile_json(text),
        queue=text,
        limits=(Limit(key=text, concurrency=1),),
        **labels,
    )
    await begin(stage, project=first.project, on_begin=look)
    await WorkflowRepository(stage.database).cancel(first.id, owner_id=stage.owner)
    (task,) = await TaskQueue(stage.database).find(TaskFilter(owner_id=stage.owner, queue=text))
    return {
        "new.on_begin.actor": task.actor,
        "new.on_begin.payload": told(text, task.payload),
        "new.on_begin.queue": task.queue,
        "new.on_begin.limits.key": task.limits[0].key,
        **{f"new.on_begin.{name}": getattr(task, name) for name in labels},
    }


async def _status_text(stage: Stage, text: str) -> Mapping[str, object]:
    run_id = await begun(stage)
    given = hostile_json(text)
    await WorkflowRepository(stage.database).set_status(
        run_id, RunStatus.ERROR, owner_id=stage.owner, branch_id=branch_of(run_id), data=given
    )
    return {"data": told(text, (await EventRepository(stage.database).log(run_id, owner_id=stage.owner))[-1].data)}


async def _version_text(stage: Stage, text: str) -> Mapping[str, object]:
    workflows, run_id = WorkflowRepository(stage.database), await begun(stage)
    run = await workflows.set_version(
        run_id, text, owner_id=stage.owner, capabilities=[text], requires=[hostile_json(text)]
    )
    (read,) = await workflows.versions(run_id, owner_id=stage.owner)
    assert run.version_id == read.version_id
    (capability,), (required,) = read.capabilities, read.requires
    return {"version_id": read.version_id, "capabilities": capability, "requires": told(text, required)}


async def _cancel_text(stage: Stage, text: str) -> Mapping[str, object]:
    run_id = await begun(stage)
    await WorkflowRepository(stage.database).cancel(run_id, owner_id=stage.owner, data=hostile_json(text))
    return {"data": told(text, (await EventRepository(stage.database).log(run_id, owner_id=stage.owner))[-1].data)}


async def _reset_text(stage: Stage, text: str) -> Mapping[str, object]:
    run_id = await begun(stage)
    await WorkflowRepository(stage.database).reset(
        run_id, owner_id=stage.owner, branch_id=branch_of(run_id), data=hostile_json(text)
    )
    return {"data": told(text, (await EventRepository(stage.database).log(run_id, owner_id=stage.owner))[-1].data)}


def _run(number: int) -> RawDocument:
    base = {"_id": f"wf_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "project": PROJECT}
    is_child = number % 5 == 0
    parent = {"parent_id": f"wf_{number // 20:032x}" if is_child else None, "listed": not is_child}
    return (
        base
        | parent
        | {
            "open": number < 2_000 and not is_child,
            "status": list(RunStatus)[number % len(RunStatus)].value,
            "updated_at": FAR,
        }
    )


def _version(number: int) -> RawDocument:
    base = {"_id": f"rv_{number:032x}", "run_id": f"wf_{number % 2_000:032x}", "owner_id": f"usr_{number % 2_000:032x}"}
    return base | {"version_id": "ver_1", "seq": number, "created_at": FAR}


async def _next_versions(workflows: WorkflowRepository, made: str, owner_id: str) -> list[RunVersion]:
    (newest,) = await workflows.versions(made, owner_id=owner_id, limit=1)
    return await workflows.versions(made, owner_id=owner_id, before=newest.id)


SCENES = Scenes(
    subject=WorkflowRepository,
    scenarios=(
        Scenario(method="WorkflowRepository.open", prepare=begun, call=_open, creates=True),
        Scenario(method="WorkflowRepository.open", about="a child", prepare=begun, call=_open_child),
        Scenario(
            method="WorkflowRepository.open", about="behind others", prepare=_crowded, call=_open_behind, creates=True
        ),
        Scenario(
            method="WorkflowRepository.get",
            prepare=begun,
            call=lambda workflows, made, owner_id: workflows.get(made, owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.find_open",
            prepare=_many,
            call=lambda workflows, _, owner_id: workflows.find_open(PROJECT, owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.page",
            prepare=_many,
            call=lambda workflows, _, owner_id: workflows.page(owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.page",
            about="the next of some statuses",
            prepare=_many,
            call=lambda workflows, made, owner_id: workflows.page(
                owner_id=owner_id, before=made, statuses=[RunStatus.CREATED, RunStatus.CANCELLED]
            ),
        ),
        Scenario(
            method="WorkflowRepository.page",
            about="of a project",
            prepare=_many,
            call=lambda workflows, _, owner_id: workflows.page(owner_id=owner_id, project=ENDED),
        ),
        Scenario(
            method="WorkflowRepository.page",
            about="of a template",
            prepare=_of_template,
            call=lambda workflows, made, owner_id: workflows.page(owner_id=owner_id, template_id=made),
        ),
        Scenario(
            method="WorkflowRepository.children",
            prepare=_child,
            call=lambda workflows, made, owner_id: workflows.children(made, owner_id=owner_id),
        ),
        Scenario(method="WorkflowRepository.hold", prepare=begun, call=_hold),
        Scenario(method="WorkflowRepository.set_status", prepare=begun, call=_set_status),
        Scenario(
            method="WorkflowRepository.set_version",
            prepare=begun,
            call=lambda workflows, made, owner_id: workflows.set_version(made, "ver_2", owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.versions",
            prepare=_versioned,
            call=lambda workflows, made, owner_id: workflows.versions(made, owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.versions",
            about="the next",
            prepare=_versioned,
            call=_next_versions,
        ),
        Scenario(method="WorkflowRepository.reset", prepare=worked, call=_reset),
        Scenario(
            method="WorkflowRepository.cancel",
            prepare=_child,
            call=lambda workflows, made, owner_id: workflows.cancel(made, owner_id=owner_id),
        ),
        Scenario(
            method="WorkflowRepository.finish_cancels",
            prepare=_cut_off,
            call=lambda workflows, _, __: workflows.finish_cancels(older_than=timedelta(0)),
        ),
        Scenario(
            method="WorkflowRepository.begin_waiting",
            prepare=_stranded,
            call=lambda workflows, _, __: workflows.begin_waiting(older_than=timedelta(0)),
            scans="it looks at all runs that wait, by their index: few do, and none for long",
        ),
        Scenario(
            method="WorkflowRepository.delete",
            prepare=forked,
            call=lambda workflows, made, owner_id: workflows.delete(made, owner_id=owner_id),
        ),
        Scenario(method="WorkflowRepository.sweep", prepare=_doomed, call=lambda workflows, _, __: workflows.sweep()),
    ),
    texts=(
        Text(
            method="WorkflowRepository.open",
            fields=(
                "new.project",
                "new.version_id",
                "new.data",
                "events.step",
                "events.module",
                "events.data",
                *(f"new.on_begin.{name}" for name in ON_BEGIN),
            ),
            store=_open_text,
        ),
        Text(method="WorkflowRepository.set_status", fields=("data",), store=_status_text),
        Text(
            method="WorkflowRepository.set_version",
            fields=("version_id", "capabilities", "requires"),
            store=_version_text,
        ),
        Text(method="WorkflowRepository.cancel", fields=("data",), store=_cancel_text),
        Text(method="WorkflowRepository.reset", fields=("data",), store=_reset_text),
    ),
    plain=frozenset(
        {
            "owner_id",
            "run_id",
            "branch_id",
            "new_branch_id",
            "before",
            "new.run_id",
            "new.branch_id",
            "new.event_id",
            "new.parent_id",
            "new.template_id",
            "new.on_begin.owner_id",
            "new.on_begin.run_id",
            "new.on_begin.branch_id",
            "new.on_begin.task_id",
            "new.on_begin.unique_key",
            "event_id",
            "find_open.project",
            "page.project",
            "page.template_id",
        }
    ),
    crowds={"workflow_runs": _run, "workflow_run_versions": _version},
)
