"""The names of the events in our logs: the vocabulary that hosts share."""

from __future__ import annotations

from enum import StrEnum


class TaskEventType(StrEnum):
    """What can happen to a task. A task's log ends with exactly one of the terminal three."""

    STARTED = "started"
    """An attempt began; data: ``attempt``, ``worker_id``."""
    PROGRESS = "progress"
    """How far the attempt is; data: ``fraction`` (0 to 1), ``message``."""
    CHUNK = "chunk"
    """Partial output of the actor; data: ``chunks``, a batch in the order in which the actor gave them."""
    CONTENT = "content"
    """A content item became visible; data: what a viewer needs to show it."""
    RETRYING = "retrying"
    """An attempt failed and another follows; data: ``attempt``, ``error``, ``delay_seconds``."""
    RELEASED = "released"
    """A worker handed the task back without using up the attempt; data: ``worker_id``."""
    SUSPENDED = "suspended"
    """The attempt waits for the task's children and does not count; data: ``worker_id``."""
    COMPLETED = "completed"
    """Terminal: the result is in the task."""
    FAILED = "failed"
    """Terminal: no attempt is left, or the actor said that retrying cannot help; data: ``error``."""
    CANCELLED = "cancelled"
    """Terminal: the owner cancelled the task."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow this event."""
        return self in (TaskEventType.COMPLETED, TaskEventType.FAILED, TaskEventType.CANCELLED)


class DbEventType(StrEnum):
    """What can happen to a workflow run; the run's status is folded from these."""

    WORKFLOW_CREATED = "workflow_created"
    WORKFLOW_RESUMED = "workflow_resumed"
    WORKFLOW_COMPLETED = "workflow_completed"
    WORKFLOW_ERROR = "workflow_error"
    WORKFLOW_RECOVERED = "workflow_recovered"
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    MODULE_STARTED = "module_started"
    MODULE_COMPLETED = "module_completed"
    MODULE_ERROR = "module_error"
    INTERACTION_REQUESTED = "interaction_requested"
    INTERACTION_RESPONSE = "interaction_response"
    RETRY_REQUESTED = "retry_requested"
    JUMP_REQUESTED = "jump_requested"
    SUB_ACTION_STARTED = "sub_action_started"
    SUB_ACTION_COMPLETED = "sub_action_completed"
    OUTPUT_STORED = "output_stored"
