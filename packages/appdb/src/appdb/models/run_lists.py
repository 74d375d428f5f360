"""Lists over runs: which runs are meant, where a page goes on, and the open questions of an inbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appdb.models.events import RunEvent
from appdb.models.workflow_runs import Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """A choice of runs, for operators.

    Args:
        owner_id: Whose runs; ``None`` for everybody's.
        statuses: Only these statuses; empty for all.
        project: Only this project.
        template_id: Only runs of this workflow.
        updated_after: Only runs that have changed at or after this time.
        run_id: Only this run, for who knows its id and not its owner; also one that does a sub-action.
    """

    owner_id: str | None
    statuses: frozenset[RunStatus] = frozenset()
    project: str | None = None
    template_id: str | None = None
    updated_after: datetime | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """A question that a user has not answered.

    Args:
        run: The run that asks, also one that does a sub-action of another.
        interaction_id: The question.
        since: When it was asked.
        request: The event that asks it, with its data; ``None`` where that was not wanted.
    """

    run: Run
    interaction_id: str
    since: datetime
    request: RunEvent | None = None

    @property
    def place(self) -> str:
        """The place of the question in the inbox: where the next page goes on."""
        return self.run.place
