"""The types of events in task logs and event logs: the vocabulary that all hosts share."""

from __future__ import annotations

from enum import StrEnum


class TaskEventType(StrEnum):
    """The types of a task's events. A task log ends with exactly one of the terminal three."""

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
    """The types of a run's events; a run's position and status are folded from these."""

    WORKFLOW_CREATED = "workflow_created"
    """The run begins; again after a reset, with ``reset``. It clears all that was."""
    WORKFLOW_WAITING = "workflow_waiting"
    """The run waits until those of its project before it have ended, and has begun nothing; resumed, it begins."""
    WORKFLOW_RESUMED = "workflow_resumed"
    """A run that had ended goes on, one that waited begins, or a branch goes on from an old interaction; what is
    pending stays so."""
    WORKFLOW_TARGET_REACHED = "workflow_target_reached"
    """The run stops where it was asked to."""
    WORKFLOW_VALIDATION_FAILED = "workflow_validation_failed"
    """The run stops at what its definition does not allow; data: ``errors``."""
    WORKFLOW_COMPLETED = "workflow_completed"
    WORKFLOW_ERROR = "workflow_error"
    """The run stops at an error; data: ``error``."""
    WORKFLOW_CANCELLED = "workflow_cancelled"
    WORKFLOW_RECOVERED = "workflow_recovered"
    """The run's caches disagreed with its events; data: ``reasons``, ``previous_branch_id``, ``cutoff_seq``."""
    BRANCH_SWITCHED = "branch_switched"
    """The run goes on where a branch that it had left ended, on a new one; all is as it was there. Data:
    ``target_branch_id``."""
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    MODULE_STARTED = "module_started"
    MODULE_COMPLETED = "module_completed"
    """Data: the outputs by name, and under ``_state_mapped`` those that have a name in the run's state."""
    MODULE_SKIPPED = "module_skipped"
    """The module counts as completed and gave nothing, since its condition was false."""
    MODULE_ERROR = "module_error"
    INTERACTION_REQUESTED = "interaction_requested"
    """The user is asked, one thing at a time; data: ``interaction_id`` and the request."""
    INTERACTION_RESPONSE = "interaction_response"
    """The user has answered what was pending; data: ``interaction_id`` and the response."""
    INTERACTION_EXPIRED = "interaction_expired"
    """The user has not answered what was pending in time, which settles it; data: ``interaction_id``."""
    TIMER_FIRED = "timer_fired"
    """A time has come that a module waited for; data: ``timer_id``."""
    SIGNAL_RECEIVED = "signal_received"
    """A message came, which the run keeps until an event takes it; data: ``name``, ``signal_id``, ``payload``."""
    RETRY_REQUESTED = "retry_requested"
    """A module runs again on the same branch, of the open step unless it names one. What it gave, and all that came
    after it, is undone, as by a jump. Data: ``target_module``, ``feedback``, perhaps ``target_step``, and
    ``keep_sub_actions`` with the ids of those sub-actions that do not run again."""
    JUMP_REQUESTED = "jump_requested"
    """A new branch begins before the first event of a step or a module; data: ``target_step``, ``target_module``."""
    SUB_ACTION_STARTED = "sub_action_started"
    SUB_ACTION_COMPLETED = "sub_action_completed"
    """Data: ``sub_action_id``, and under ``_state_mapped`` what it gives to the run's state."""
    SUB_ACTION_FAILED = "sub_action_failed"
    """Data: ``sub_action_id``, ``error``."""
    OUTPUT_STORED = "output_stored"
