"""Task filters: a choice of many tasks, and what an operation on them did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appdb.models.tasks import LABELS, TaskState

MAX_TASK_IDS = 500
"""Ids of one choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """A choice of tasks, for operations on many.

    The labels from the branch on count within a run, so they need its id.

    Args:
        owner_id: Whose tasks; ``None`` for everybody's, which is for operators only.
        states: Only these states; empty for all that the operation can be about.
        queue: Only this queue.
        actor: Only this actor.
        except_actors: None of these actors, such as the one that cancels what it no longer waits for.
        run_id: Only what works for this workflow run.
        branch_id: Only what works on this branch of the run.
        step: Only what works for this step.
        module: Only what works for this module.
        sub_action_id: Only what carries out this sub-action.
        interaction_id: Only what concerns this interaction, such as its timer.
        created_before: Only tasks made before this time.
        created_after: Only tasks made at or after this time.
        task_ids: Only these tasks, at most 500; ``None`` for all, and an empty choice for none.

    Raises:
        ValueError: It has a label and no run, or more ids than that.
    """

    owner_id: str | None
    states: frozenset[TaskState] = frozenset()
    queue: str | None = None
    actor: str | None = None
    except_actors: frozenset[str] = frozenset()
    run_id: str | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    task_ids: tuple[str, ...] | None = None
    branch_id: str | None = None
    step: str | None = None
    module: str | None = None
    sub_action_id: str | None = None
    interaction_id: str | None = None

    def __post_init__(self) -> None:
        # Without the run no index would serve it.
        if self.run_id is None and any(getattr(self, name) is not None for name in LABELS[1:]):
            raise ValueError(f"a choice by {', '.join(LABELS[1:])} needs the run_id, within which these count")
        if self.task_ids is not None and len(self.task_ids) > MAX_TASK_IDS:
            raise ValueError(f"at most {MAX_TASK_IDS} task_ids are chosen at once, not {len(self.task_ids)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledTasks:
    """The cancelled tasks of one cancel of many.

    Args:
        count: How many of the tasks that fit are cancelled now; what was cancelled below them is not counted.
        more: Whether more of them were live than the call's limit allowed. What follows the end of those that were
            cancelled is a new task, and not among these.
    """

    count: int
    more: bool
