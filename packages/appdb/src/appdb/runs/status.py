"""Run status: set by the event that gives a run the status, and never without one."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from appdb._driver import Session
from appdb.connection import Connection
from appdb.errors import InvalidDataError
from appdb.events import DbEventType as E
from appdb.models.events import NewRunEvent
from appdb.models.workflow_runs import Run, RunStatus
from appdb.run_lock import RunLock
from appdb.runs.appends import checked_append
from appdb.runs.event_log import EventLog
from appdb.runs.transitions import ENDINGS

EVENT_OF: Mapping[RunStatus, E] = {
    RunStatus.PROCESSING: E.WORKFLOW_RESUMED,
    **{status: event for event, status in ENDINGS.items()},
}


class StatusWriter:
    """Gives runs a status, for ``WorkflowRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._run_lock = RunLock(connection)
        self._event_log = EventLog(connection)

    async def write_status(
        self,
        run: tuple[str, str],
        status: RunStatus,
        branch_id: str,
        data: Mapping[str, JsonValue],
        session: Session | None,
    ) -> Run:
        """Append the event that gives a run this status; *run* is its id and owner."""
        event = EVENT_OF.get(status)
        if event is None:
            raise InvalidDataError("status", f"{status} follows from the work itself; append its events, or reset")
        found = await self._run_lock.find_run(*run, session)
        # A run that waits for its user goes on by the answer alone.
        goes_on = status is RunStatus.PROCESSING and found.status is RunStatus.AWAITING_INPUT
        if found.branch_id == branch_id and (found.status is status or goes_on):
            return found
        append = checked_append(*run, branch_id, [NewRunEvent(type=event, data=data)])
        await self._event_log.append_events(append, session)
        return await self._run_lock.find_run(*run, session)
