"""The engine's own tasks: looks at a run, timers, and modules that only some hosts have."""

from __future__ import annotations

from datetime import timedelta

from appdb import NewTask
from appdb.models import Run

QUEUE = "engine"
ADVANCE = "engine.advance"
TIMER = "engine.timer"
MODULE_PREFIX = "engine.module:"
MAX_CLAIMS = 100
"""A task of the engine that its hosts lose is claimed again: it changes nothing until it has been written whole."""


def look(owner_id: str, run_id: str, *, task_id: str | None = None) -> NewTask:
    """Return a task that looks at a run: ``Look``."""
    return NewTask(
        owner_id=owner_id,
        actor=ADVANCE,
        queue=QUEUE,
        payload={"run_id": run_id},
        run_id=run_id,
        task_id=task_id,
        max_attempts=MAX_CLAIMS,
    )


def timer(
    run: Run,
    timer_id: str,
    pause: timedelta,
    *,
    step: str,
    module: str,
    sub_action_id: str | None = None,
    interaction_id: str | None = None,
) -> NewTask:
    """Return a task that is due when a timer fires: ``Fired``."""
    return NewTask(
        owner_id=run.owner_id,
        actor=TIMER,
        queue=QUEUE,
        payload={"run_id": run.id, "timer_id": timer_id},
        delay=pause,
        task_id=timer_id,
        run_id=run.id,
        branch_id=run.branch_id,
        step=step,
        module=module,
        sub_action_id=sub_action_id,
        interaction_id=interaction_id,
        max_attempts=MAX_CLAIMS,
    )


def handoff(run: Run, module_type: str, task_id: str) -> NewTask:
    """Return a task that only hosts with a module type claim; such a host looks at the run and runs the module."""
    name, _, major = module_type.partition("@")
    return NewTask(
        owner_id=run.owner_id,
        actor=f"{MODULE_PREFIX}{name}",
        actor_version=int(major),
        queue=QUEUE,
        payload={"run_id": run.id},
        task_id=task_id,
        run_id=run.id,
        branch_id=run.branch_id,
        max_attempts=MAX_CLAIMS,
    )
