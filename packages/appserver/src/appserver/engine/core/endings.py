"""Endings of a run: completed, or stopped at an error. A child's end wakes its parent."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from appdb import DbEventType as E
from appserver.engine.core import engine_tasks
from appserver.engine.core.created import Created
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import problem_of
from appserver.engine.core.ids import task_id
from appserver.engine.definition.filling import fill
from appserver.errors import FillError
from appserver.modules.contract import ErrorCode

MAX_OUTPUT_BYTES = 128 * 1024


def complete_run(draft: Draft) -> None:
    """Add the run's completion with its output; an output that cannot be made is an error of the definition."""
    picture = draft.picture
    try:
        output = fill(picture.definition.output, draft.scope)
    except FillError as exc:
        end_with_error(draft, None, _misconfigured(f"the output {exc}"))
        return
    if (problem := problem_of({"output": output}, MAX_OUTPUT_BYTES)) is not None:
        end_with_error(draft, None, _misconfigured(f"the output takes {problem}"))
        return
    _wake_parent(draft)
    draft.add(E.WORKFLOW_COMPLETED, data={"output": output})


def end_with_error(draft: Draft, place: tuple[str, str] | None, error: Mapping[str, JsonValue]) -> None:
    """Add the run's stop at an error; it can be retried, or go back."""
    _wake_parent(draft)
    step, module = place or (None, None)
    draft.add(E.WORKFLOW_ERROR, step, module, {"error": dict(error)})


def _misconfigured(message: str) -> dict[str, JsonValue]:
    return {
        "code": ErrorCode.MISCONFIGURED.value,
        "message": message,
        "hint": "correct the definition's output, and move the run to the new version",
        "at": None,
        "retryable": False,
        "actions": ["jump", "move_version", "cancel"],
    }


def _wake_parent(draft: Draft) -> None:
    parent_id = Created.of(draft.state).parent_id
    if parent_id is not None:
        run = draft.picture.run
        draft.enqueue(engine_tasks.look(run.owner_id, parent_id, task_id=task_id(run.id, draft.next_seq)))
