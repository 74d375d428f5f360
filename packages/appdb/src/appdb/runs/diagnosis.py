"""Diagnosis: how the caches of a run disagree with its events."""

from __future__ import annotations

from collections.abc import Collection

from appdb.events import DbEventType as E
from appdb.models.events import RunEvent
from appdb.models.recovery import Disagreement
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run, RunStatus

STOPPED = frozenset(RunStatus) - {
    RunStatus.WAITING,
    RunStatus.CREATED,
    RunStatus.PROCESSING,
    RunStatus.AWAITING_INPUT,
}


def diagnose(run: Run, state: RunState, newest: RunEvent, steps: Collection[str]) -> tuple[Disagreement, ...]:
    """Return how *run* disagrees with its events.

    Args:
        run: The run with its caches.
        state: The state folded from the events of its line of history.
        newest: The last event of its log.
        steps: The steps of its workflow, if they are known: more than events can say.
    """
    found = []
    if run.status is not state.status:
        found.append(_of_status(run.status, state.status))
    elif _is_stuck(state, steps):
        # Events cannot say this: only the workflow knows which steps it has.
        found.append(Disagreement.ALL_STEPS_DONE)
    if run.branch_id != newest.branch_id:
        found.append(Disagreement.BRANCH)
    if run.position != state.position:
        found.append(Disagreement.POSITION)
    # A run that failed under 0.3.0 is not open, and may stay so.
    is_open = run.parent_id is None and not run.status.closed and run.status is not RunStatus.WAITING
    if run.open is not is_open and run.status is not RunStatus.ERROR:
        found.append(Disagreement.OPEN)
    if run.event_count != newest.seq + 1:
        found.append(Disagreement.EVENT_COUNT)
    return tuple(found)


def _of_status(cached: RunStatus, folded: RunStatus) -> Disagreement:
    if folded in STOPPED:
        return Disagreement.END_NOT_IN_STATUS
    if cached in STOPPED:
        return Disagreement.STATUS_ENDED_EVENTS_NOT
    if folded is RunStatus.AWAITING_INPUT:
        return Disagreement.REQUEST_NOT_IN_STATUS
    if cached is RunStatus.AWAITING_INPUT:
        return Disagreement.AWAITING_WITHOUT_REQUEST
    return Disagreement.START_NOT_IN_STATUS if cached is RunStatus.CREATED else Disagreement.STATUS_STARTED_EVENTS_NOT


def _is_stuck(state: RunState, steps: Collection[str]) -> bool:
    done = bool(steps) and state.status is RunStatus.PROCESSING and set(steps) <= set(state.steps_completed)
    # Right after a recovery no host has gone on with the run yet, so it is not stuck.
    return done and state.position.step is None and state.last_type is not E.WORKFLOW_RECOVERED
