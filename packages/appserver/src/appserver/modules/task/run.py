"""``task.run@1``: any task that workers offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Await, Done, Fail, Module, ModuleKind, Ports, Seen
from appserver.modules.work import TaskInputs, TaskName, failure_of, task_call

KEY = "task"


class RunTaskInputs(TaskInputs):
    """A task."""

    actor: TaskName = Field(description="The actor's name, as workers announce it.")
    payload: dict[str, JsonValue] = Field(default_factory=dict, description="Its input.")
    actor_version: int = Field(1, ge=1, le=1_000, description="The version of its payload's schema.")
    queue: TaskName = Field("default", description="The queue that its workers serve.")
    label: str = Field("", max_length=200, description="What people read while it runs.")


class RunTaskOutputs(Ports):
    """The result."""

    result: JsonValue = Field(description="What the actor gave.")
    task_id: str = Field(description="The task's id.")


class RunTask(Module[RunTaskInputs, RunTaskOutputs]):
    """Lets a worker do a task, and gives its result."""

    type = "task.run@1"
    kind = ModuleKind.TASK
    Inputs = RunTaskInputs
    Outputs = RunTaskOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "actor": "picture",
        "queue": "media",
        "payload": {"prompt": "A tide pool", "seed": 7},
    }

    def decide(self, inputs: RunTaskInputs, seen: Seen) -> Await | Done | Fail:
        """Start the task, and give its result."""
        work = seen.work.get(KEY)
        if work is None or work.state == "open":
            call = task_call(inputs, KEY, inputs.actor, inputs.queue, inputs.payload)
            return Await(calls=(replace(call, actor_version=inputs.actor_version, label=inputs.label),))
        if work.state != "completed":
            return failure_of(work)
        return Done(outputs={"result": work.result, "task_id": work.id})
