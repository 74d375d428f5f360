"""The fence: the first write of a holder's transaction, to its task; it fails when the lease is lost."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import RawDocument, Session
from appdb._queries import tasks as queries
from appdb.errors import LeaseLostError
from appdb.models.task_events import NewEvent
from appdb.queue.lease import Lease
from appdb.queue.task_log import TaskLog


async def hold_task(
    task_log: TaskLog, lease: Lease, session: Session, events: Sequence[NewEvent] = (), seq: int | None = None
) -> RawDocument:
    """Write to the task that *lease* holds, and return it.

    Args:
        task_log: Writes.
        lease: The lease that the fence checks.
        session: The caller's transaction.
        events: What to append to the task's log.
        seq: How long the log must be before.

    Raises:
        LeaseLostError: Another worker may hold the task.
    """
    match = queries.held(lease.task_id, lease.token) | ({} if seq is None else {"event_count": seq})
    held = await task_log.append_to(match, events, session=session, changes=queries.makes_content())
    if held is None:
        raise LeaseLostError(lease.task_id, lease.attempt)
    return held
