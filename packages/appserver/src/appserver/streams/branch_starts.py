"""Branch starts: the events with which branches of a run begin, and the run as it was behind each of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from appdb import DbEventType, EventRepository, StateRepository
from appdb.models import Run, RunEvent, RunView
from appserver.streams.completions import completion_of

E = DbEventType
BEGIN_BRANCHES = frozenset(
    {E.WORKFLOW_CREATED, E.WORKFLOW_RESUMED, E.WORKFLOW_RECOVERED, E.JUMP_REQUESTED, E.BRANCH_SWITCHED}
)
"""Types of events that begin a branch when their data names the one before; in others that name is a module's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchStart:
    """The place at which a run has gone on to another branch.

    Args:
        left: The branch that it left.
        to: The new one.
        cutoff_seq: The last event of the old line that still counts; ``None`` when none does.
    """

    left: str
    to: str
    cutoff_seq: int | None


def branch_start(event: RunEvent) -> BranchStart | None:
    """Return the place at which a run has gone on to another branch with *event*; ``None`` where it has not."""
    if event.type not in BEGIN_BRANCHES or "previous_branch_id" not in event.data:
        return None
    left, cutoff = event.data["previous_branch_id"], event.data.get("cutoff_seq")
    return BranchStart(left=left, to=event.branch_id, cutoff_seq=cutoff)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartView:
    """A run as it was behind an event with which a branch begins.

    Args:
        view: The run.
        completion: The event with which it had completed, where it returned to such a branch.
    """

    view: RunView
    completion: RunEvent | None


class StartViews:
    """The run as it was behind an event with which a branch begins: the latest one, read once for all who ask.

    Args:
        states: Where it is read.
        events: Its log.
    """

    def __init__(self, states: StateRepository, events: EventRepository) -> None:
        self._states = states
        self._events = events
        self._latest: StartView | None = None
        self._reading = asyncio.Lock()

    async def behind(self, event: RunEvent) -> StartView:
        """Return the run as it was behind *event*.

        Raises:
            NotFoundError: The run is being deleted.
        """
        async with self._reading:
            if self._latest is None or self._latest.view.state.seq != event.seq:
                self._latest = await self._read(event)
            return self._latest

    async def _read(self, event: RunEvent) -> StartView:
        view = await self._states.read_at(event.run_id, event.seq, owner_id=event.owner_id, branch_id=event.branch_id)
        if view.run.event_count != event.seq + 1:
            view = RunView(run=_run_behind(event, view), state=view.state)
        return StartView(view=view, completion=await completion_of(view, self._events))


def _run_behind(event: RunEvent, view: RunView) -> Run:
    """Return a run that has gone on as it was behind *event*, by the state there."""
    run, position = view.run, view.state.position
    return run.model_copy(
        update={
            "branch_id": event.branch_id,
            "event_count": event.seq + 1,
            "position": position,
            "status": position.status,
            "updated_at": event.created_at,
            "completed_at": (run.completed_at or event.created_at) if position.status.closed else None,
        }
    )
