"""Scenarios of ``TaskQueue``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from appdb import AttemptOutcome, AttemptWrite, Completed, Failed, Limit, NewEvent, NewTask, TaskEventType, TaskQueue
from appdb._driver import RawDocument
from appdb._queries.task_claims import SAMPLED_LEASES
from appdb.models import TaskFilter
from appsupport.scenarios.held_tasks import Held, claimer, failed, hold, new_task, queued
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told

LONG_AGO, FAR = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
CENTURY = timedelta(days=36_500)
COUNTS = "it counts what is live and what ended within its window, by partial indexes that hold no more"
SOME = 20
RIVALS = SAMPLED_LEASES
"""The newest leases, among which a claim looks for another worker's."""
FEW = "hosts pause queues and set limits by hand: there are few"


def event(text: str = "hello") -> NewEvent:
    """Return an event that has *text* wherever it may."""
    return NewEvent(type=TaskEventType.CHUNK, data={"chunks": [hostile_json(text)]} | hostile_json(text))


async def live_child(stage: Stage) -> str:
    """Make a task with a child, and tasks that are none, and return the parent's id."""
    held, queue = await hold(stage), TaskQueue(stage.database)
    await queue.spawn(held.lease, "child", new_task(stage))
    await queue.enqueue_many([new_task(stage) for _ in range(SOME)])
    return held.task.id


async def logged(stage: Stage) -> Held:
    held = await hold(stage)
    await TaskQueue(stage.database).append_events(held.lease, [event()], seq=0)
    return held


async def remembered(stage: Stage) -> Held:
    held = await hold(stage)
    await TaskQueue(stage.database).save_step(held.lease, "step", 1)
    return held


async def keyed(stage: Stage) -> Stage:
    """Make tasks, one of them with a key, and return the stage."""
    queue = TaskQueue(stage.database)
    await queue.enqueue(new_task(stage, unique_key="once"))
    await queue.enqueue_many([new_task(stage) for _ in range(SOME)])
    return stage


async def staged(stage: Stage) -> Stage:
    """Make a task that waits, and return the stage for a method that is about its queue."""
    await queued(stage)
    return stage


async def limited(stage: Stage) -> Stage:
    await TaskQueue(stage.database).enqueue(new_task(stage, limits=(Limit(key=stage.owner, concurrency=1),)))
    return stage


LABELS = ("branch_id", "step", "module", "sub_action_id", "interaction_id")


def _given(stage: Stage, text: str) -> NewTask:
    limits = (Limit(key=text, concurrency=1),)
    labels: dict[str, Any] = dict.fromkeys(LABELS, text)
    return new_task(stage, actor=text, payload=hostile_json(text), queue=text, unique_key=text, limits=limits, **labels)


async def _enqueued(stage: Stage, task_id: str, text: str) -> dict[str, object]:
    read = await TaskQueue(stage.database).get(task_id, owner_id=stage.owner)
    stored = await stage.database.collection("tasks").find_one({"_id": task_id}) or {}
    return {
        "actor": read.actor,
        "payload": told(text, read.payload),
        "queue": read.queue,
        "unique_key": stored["unique_key"],
        "limits.key": read.limits[0].key,
        **{name: getattr(read, name) for name in LABELS},
    }


async def _enqueue(stage: Stage, text: str) -> Mapping[str, object]:
    made = await TaskQueue(stage.database).enqueue(_given(stage, text))
    return {f"task.{name}": value for name, value in (await _enqueued(stage, made.id, text)).items()}


async def _enqueue_many(stage: Stage, text: str) -> Mapping[str, object]:
    (made,) = await TaskQueue(stage.database).enqueue_many([_given(stage, text)])
    return {f"tasks.{name}": value for name, value in (await _enqueued(stage, made, text)).items()}


async def _spawn(stage: Stage, text: str) -> Mapping[str, object]:
    held, queue = await hold(stage), TaskQueue(stage.database)
    made = await queue.spawn(held.lease, text, replace(_given(stage, text), unique_key=None))
    again = await queue.spawn(held.lease, text, replace(_given(stage, text), unique_key=None))
    read = await queue.get(made, owner_id=stage.owner)
    return {
        "key": text if made == again else made,
        "task.actor": read.actor,
        "task.payload": told(text, read.payload),
        "task.queue": read.queue,
        "task.limits.key": read.limits[0].key,
        **{f"task.{name}": getattr(read, name) for name in LABELS},
    }


async def _said(stage: Stage, held: Held, text: str) -> object:
    """Return *text* if the first event of the log is as it was given."""
    (first, *_) = await TaskQueue(stage.database).events(held.task.id)
    return text if first.data == event(text).data else first.data


async def _record(stage: Stage, text: str) -> Mapping[str, object]:
    held = await hold(stage)
    await TaskQueue(stage.database).append_events(held.lease, [event(text)], seq=0)
    return {"events.data": await _said(stage, held, text)}


async def _complete_queued(stage: Stage, text: str) -> Mapping[str, object]:
    task_id, queue = await queued(stage), TaskQueue(stage.database)
    await queue.complete_queued(TaskFilter(owner_id=stage.owner, task_ids=(task_id,)), hostile_json(text))
    return {"result": told(text, (await queue.get(task_id, owner_id=stage.owner)).result)}


async def _complete(stage: Stage, text: str) -> Mapping[str, object]:
    held, queue = await hold(stage), TaskQueue(stage.database)
    await queue.complete(held.lease, hostile_json(text), events=[event(text)])
    result = (await queue.get(held.task.id, owner_id=stage.owner)).result
    return {"result": told(text, result), "events.data": await _said(stage, held, text)}


async def _fail(stage: Stage, text: str) -> Mapping[str, object]:
    held, queue = await hold(stage), TaskQueue(stage.database)
    await queue.fail(held.lease, text, text, retry_in=None, events=[event(text)])
    error = (await queue.get(held.task.id, owner_id=stage.owner)).errors[0]
    return {"kind": error.type, "message": error.message, "events.data": await _said(stage, held, text)}


async def _release(stage: Stage, text: str) -> Mapping[str, object]:
    held = await hold(stage)
    await TaskQueue(stage.database).release(held.lease, events=[event(text)])
    return {"events.data": await _said(stage, held, text)}


async def _suspend(stage: Stage, text: str) -> Mapping[str, object]:
    held = await hold(stage)
    await TaskQueue(stage.database).suspend(held.lease, events=[event(text)])
    return {"events.data": await _said(stage, held, text)}


async def _commit(stage: Stage, text: str) -> Mapping[str, object]:
    done, broken, queue = await hold(stage), await hold(stage), TaskQueue(stage.database)
    outcomes: tuple[AttemptOutcome, ...] = (
        Completed(result=hostile_json(text)),
        Failed(kind=text, message=text, retry_in=None),
    )
    writes = [
        AttemptWrite(lease=held.lease, events=[event(text)], outcome=outcome)
        for held, outcome in zip((done, broken), outcomes, strict=True)
    ]
    await queue.commit(writes)
    first, second = [await queue.get(held.task.id, owner_id=stage.owner) for held in (done, broken)]
    return {
        "writes.outcome.result": told(text, first.result),
        "writes.outcome.kind": second.errors[0].type,
        "writes.outcome.message": second.errors[0].message,
        "writes.events.data": await _said(stage, done, text),
    }


async def _remember(stage: Stage, text: str) -> Mapping[str, object]:
    held, queue = await hold(stage), TaskQueue(stage.database)
    await queue.save_step(held.lease, text, hostile_json(text))
    found, value = await queue.get_step(held.lease, text)
    return {"key": text if found else None, "value": told(text, value)}


async def _replay(stage: Stage, text: str) -> Mapping[str, object]:
    task_id, queue = await failed(stage), TaskQueue(stage.database)
    again = [await queue.replay(task_id, owner_id=stage.owner, payload=hostile_json(text), key=text) for _ in range(2)]
    return {"payload": told(text, again[0].payload), "key": text if again[0].id == again[1].id else None}


async def _replay_many(stage: Stage, text: str) -> Mapping[str, object]:
    await failed(stage)
    queue, match = TaskQueue(stage.database), TaskFilter(owner_id=stage.owner)
    again = [await queue.replay_many(match, key=text) for _ in range(2)]
    return {"key": text if again[0] and again[0] == again[1] else None}


async def _pause(stage: Stage, text: str) -> Mapping[str, object]:
    queue = TaskQueue(stage.database)
    await queue.pause(text)
    return {"queue": text if text in await queue.paused() else None}


async def _resume(stage: Stage, text: str) -> Mapping[str, object]:
    queue = TaskQueue(stage.database)
    await queue.pause(text)
    await queue.resume(text)
    return {"queue": text if text not in await queue.paused() else None}


async def _set_limit(stage: Stage, text: str) -> Mapping[str, object]:
    queue = TaskQueue(stage.database)
    await queue.set_limit(Limit(key=text, rate=1))
    return {"limit.key": next((limit.key for limit in await queue.limits() if limit.key == text), None)}


async def _clear_limit(stage: Stage, text: str) -> Mapping[str, object]:
    queue = TaskQueue(stage.database)
    await queue.set_limit(Limit(key=text, rate=1))
    await queue.clear_limit(text)
    return {"key": None if text in [limit.key for limit in await queue.limits()] else text}


def _task(number: int) -> RawDocument:
    base = {"_id": f"tq_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "queue": "others", "priority": 0}
    common = base | {"lane": "others\x1fecho@1", "limited": False, "queued_at": LONG_AGO, "created_at": LONG_AGO}
    if number % 10 == 1:
        return common | {"state": "scheduled", "run_at": FAR}
    if number % 10 == 2:
        return common | {"state": "processing", "lease": {"expires_at": FAR, "token": str(number)}}
    return common | {"state": "completed", "finished_at": LONG_AGO}


def _event(number: int) -> RawDocument:
    return {"_id": f"e{number}", "task_id": f"tq_{number // 50:032x}", "seq": number % 50}


def _step(number: int) -> RawDocument:
    return {"_id": f"s{number}", "task_id": f"tq_{number:032x}"}


def _of_task(name: str, prepare: Any, **options: Any) -> Scenario:
    """Return the scenario of a method that takes a task's id and its owner."""

    def call(queue: Any, made: Any, owner_id: str) -> Any:
        return getattr(queue, name)(made, owner_id=owner_id)

    return Scenario(method=f"TaskQueue.{name}", prepare=prepare, call=call, **options)


def _in_transaction(name: str, prepare: Any, call: Any, **options: Any) -> Scenario:
    """Return the scenario of a *call* that joins a transaction, whose session it gets."""

    async def joined(queue: Any, made: Any, owner_id: str) -> Any:
        return await queue._connection.transaction(lambda session: call(queue, made, owner_id, session))

    return Scenario(method=f"TaskQueue.{name}", about="in a transaction", prepare=prepare, call=joined, **options)


IN_TRANSACTIONS = (
    _in_transaction(
        "enqueue_many",
        keyed,
        lambda queue, made, _, session: queue.enqueue_many(
            [new_task(made), new_task(made, unique_key="once")], session=session
        ),
    ),
    _in_transaction(
        "get", queued, lambda queue, made, owner_id, session: queue.get(made, owner_id=owner_id, session=session)
    ),
    _in_transaction("complete", logged, lambda queue, made, _, session: queue.complete(made.lease, session=session)),
    _in_transaction(
        "fail",
        hold,
        lambda queue, made, _, session: queue.fail(made.lease, "Broken", "no", retry_in=None, session=session),
    ),
    _in_transaction(
        "cancel",
        live_child,
        lambda queue, made, owner_id, session: queue.cancel(made, owner_id=owner_id, session=session),
    ),
)


SCENES = Scenes(
    subject=TaskQueue,
    scenarios=(
        *IN_TRANSACTIONS,
        Scenario(method="TaskQueue.enqueue", prepare=staged, call=lambda queue, made, _: queue.enqueue(new_task(made))),
        Scenario(
            method="TaskQueue.enqueue",
            about="with a key",
            prepare=staged,
            call=lambda queue, made, _: queue.enqueue(new_task(made, unique_key="once")),
        ),
        Scenario(
            method="TaskQueue.enqueue",
            about="with a key that is taken",
            prepare=keyed,
            call=lambda queue, made, _: queue.enqueue(new_task(made, unique_key="once")),
        ),
        Scenario(
            method="TaskQueue.enqueue_many",
            prepare=staged,
            call=lambda queue, made, _: queue.enqueue_many([new_task(made)]),
        ),
        _of_task("get", queued),
        Scenario(
            method="TaskQueue.page", prepare=queued, call=lambda queue, _, owner_id: queue.page(owner_id=owner_id)
        ),
        Scenario(
            method="TaskQueue.page",
            about="the next",
            prepare=queued,
            call=lambda queue, made, owner_id: queue.page(owner_id=owner_id, before=made),
        ),
        Scenario(
            method="TaskQueue.find",
            prepare=queued,
            call=lambda queue, _, owner_id: queue.find(TaskFilter(owner_id=owner_id)),
        ),
        _of_task("children", live_child),
        Scenario(method="TaskQueue.events", prepare=logged, call=lambda queue, made, _: queue.events(made.task.id)),
        Scenario(method="TaskQueue.stats", prepare=queued, call=lambda queue, _, __: queue.stats(), scans=COUNTS),
        Scenario(
            method="TaskQueue.claim",
            extra_keys=RIVALS,
            prepare=staged,
            call=lambda queue, made, _: queue.claim(claimer(made), limit=2),
        ),
        Scenario(
            method="TaskQueue.claim",
            extra_keys=RIVALS,
            about="one",
            prepare=staged,
            call=lambda queue, made, _: queue.claim(claimer(made)),
        ),
        Scenario(
            method="TaskQueue.claim",
            extra_keys=RIVALS,
            about="with a limit",
            prepare=limited,
            call=lambda queue, made, _: queue.claim(claimer(made)),
        ),
        Scenario(method="TaskQueue.renew", prepare=hold, call=lambda queue, made, _: queue.renew([made.lease])),
        Scenario(
            method="TaskQueue.commit",
            prepare=hold,
            call=lambda queue, made, _: queue.commit([AttemptWrite(lease=made.lease, outcome=Completed())]),
        ),
        Scenario(
            method="TaskQueue.commit",
            about="events that the log counts",
            prepare=hold,
            call=lambda queue, made, _: queue.commit([AttemptWrite(lease=made.lease, events=[event()])]),
        ),
        Scenario(
            method="TaskQueue.append_events",
            prepare=hold,
            call=lambda queue, made, _: queue.append_events(made.lease, [event()], seq=0),
        ),
        Scenario(method="TaskQueue.complete", prepare=logged, call=lambda queue, made, _: queue.complete(made.lease)),
        Scenario(
            method="TaskQueue.fail",
            prepare=hold,
            call=lambda queue, made, _: queue.fail(made.lease, "Broken", "no", retry_in=timedelta(days=1)),
        ),
        Scenario(method="TaskQueue.release", prepare=hold, call=lambda queue, made, _: queue.release(made.lease)),
        Scenario(method="TaskQueue.suspend", prepare=hold, call=lambda queue, made, _: queue.suspend(made.lease)),
        Scenario(
            method="TaskQueue.get_step",
            prepare=remembered,
            call=lambda queue, made, _: queue.get_step(made.lease, "step"),
        ),
        Scenario(
            method="TaskQueue.save_step",
            prepare=hold,
            call=lambda queue, made, _: queue.save_step(made.lease, "step", 1),
        ),
        Scenario(
            method="TaskQueue.spawn",
            prepare=hold,
            call=lambda queue, made, owner_id: queue.spawn(
                made.lease, "child", NewTask(owner_id=owner_id, actor="echo", payload={})
            ),
        ),
        _of_task("cancel", queued),
        _of_task("cancel", live_child, about="with a child"),
        Scenario(
            method="TaskQueue.cancel_many",
            prepare=queued,
            call=lambda queue, _, owner_id: queue.cancel_many(TaskFilter(owner_id=owner_id)),
        ),
        Scenario(
            method="TaskQueue.complete_queued",
            prepare=queued,
            call=lambda queue, _, owner_id: queue.complete_queued(TaskFilter(owner_id=owner_id)),
        ),
        _of_task("retry", failed),
        _of_task("replay", failed, about="without a key"),
        Scenario(
            method="TaskQueue.replay",
            about="with a key",
            prepare=failed,
            call=lambda queue, made, owner_id: queue.replay(made, owner_id=owner_id, key="once"),
        ),
        Scenario(
            method="TaskQueue.replay_many",
            prepare=failed,
            call=lambda queue, _, owner_id: queue.replay_many(TaskFilter(owner_id=owner_id), key="once"),
        ),
        Scenario(method="TaskQueue.pause", call=lambda queue, _, owner_id: queue.pause(f"queue-{owner_id}")),
        Scenario(method="TaskQueue.resume", call=lambda queue, _, owner_id: queue.resume(f"queue-{owner_id}")),
        Scenario(method="TaskQueue.paused", call=lambda queue, _, __: queue.paused(), scans=FEW),
        Scenario(
            method="TaskQueue.set_limit",
            call=lambda queue, _, owner_id: queue.set_limit(Limit(key=owner_id, rate=1)),
        ),
        Scenario(method="TaskQueue.clear_limit", call=lambda queue, _, owner_id: queue.clear_limit(owner_id)),
        Scenario(method="TaskQueue.limits", call=lambda queue, _, __: queue.limits(), scans=FEW),
        Scenario(
            method="TaskQueue.maintenance_due",
            call=lambda queue, _, __: queue.maintenance_due(horizon=timedelta(minutes=1)),
        ),
        Scenario(method="TaskQueue.promote", call=lambda queue, _, __: queue.promote()),
        Scenario(method="TaskQueue.recover", call=lambda queue, _, __: queue.recover()),
        Scenario(method="TaskQueue.fill_claim_keys", call=lambda queue, _, __: queue.fill_claim_keys()),
        Scenario(method="TaskQueue.expire", call=lambda queue, _, __: queue.expire()),
        Scenario(method="TaskQueue.prune", call=lambda queue, _, __: queue.prune(older_than=CENTURY)),
    ),
    texts=(
        Text(
            method="TaskQueue.enqueue",
            fields=(
                "task.actor",
                "task.payload",
                "task.queue",
                "task.unique_key",
                "task.limits.key",
                *(f"task.{name}" for name in LABELS),
            ),
            store=_enqueue,
        ),
        Text(
            method="TaskQueue.enqueue_many",
            fields=(
                "tasks.actor",
                "tasks.payload",
                "tasks.queue",
                "tasks.unique_key",
                "tasks.limits.key",
                *(f"tasks.{name}" for name in LABELS),
            ),
            store=_enqueue_many,
        ),
        Text(
            method="TaskQueue.spawn",
            fields=(
                "key",
                "task.actor",
                "task.payload",
                "task.queue",
                "task.limits.key",
                *(f"task.{name}" for name in LABELS),
            ),
            store=_spawn,
        ),
        Text(method="TaskQueue.append_events", fields=("events.data",), store=_record),
        Text(method="TaskQueue.complete", fields=("result", "events.data"), store=_complete),
        Text(method="TaskQueue.complete_queued", fields=("result",), store=_complete_queued),
        Text(method="TaskQueue.fail", fields=("kind", "message", "events.data"), store=_fail),
        Text(method="TaskQueue.release", fields=("events.data",), store=_release),
        Text(method="TaskQueue.suspend", fields=("events.data",), store=_suspend),
        Text(
            method="TaskQueue.commit",
            fields=(
                "writes.outcome.result",
                "writes.outcome.kind",
                "writes.outcome.message",
                "writes.events.data",
            ),
            store=_commit,
        ),
        Text(method="TaskQueue.save_step", fields=("key", "value"), store=_remember),
        Text(method="TaskQueue.replay", fields=("payload", "key"), store=_replay),
        Text(method="TaskQueue.replay_many", fields=("key",), store=_replay_many),
        Text(method="TaskQueue.pause", fields=("queue",), store=_pause),
        Text(method="TaskQueue.resume", fields=("queue",), store=_resume),
        Text(method="TaskQueue.set_limit", fields=("limit.key",), store=_set_limit),
        Text(method="TaskQueue.clear_limit", fields=("key",), store=_clear_limit),
    ),
    plain=frozenset(
        {
            "owner_id",
            "task_id",
            "before",
            "token",
            "worker_id",
            "limit_keys",
            "match.queue",
            "match.actor",
            "match.run_id",
            *(f"match.{name}" for name in LABELS),
            "match.except_actors",
            "match.task_ids",
            "task.run_id",
            "tasks.run_id",
            "match.states",
            "claimer.queues",
            "claimer.handlers",
            "get_step.key",
            "spawn.task.unique_key",
        }
    ),
    crowds={"tasks": _task, "task_events": _event, "task_steps": _step},
)
