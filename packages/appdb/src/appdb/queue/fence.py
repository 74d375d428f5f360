"""The fence of writes that add nothing to the task's log: the first write of a holder's transaction, to its task."""

from __future__ import annotations

from appdb._driver import Collection, RawDocument, Session
from appdb._queries import tasks as queries
from appdb._queries.types import Pipeline
from appdb.errors import LeaseLostError
from appdb.queue.lease import Lease


async def hold(
    tasks: Collection, lease: Lease, update: Pipeline, fields: tuple[str, ...], session: Session
) -> RawDocument:
    """Write to the task that *lease* holds, and return it as it was before.

    Args:
        tasks: The collection of tasks.
        lease: The lease that the fence checks.
        update: What to write; a read would conflict with no one, and a lost lease would go unseen.
        fields: Which of the task's fields to return.
        session: The holder's transaction.

    Raises:
        LeaseLostError: Another worker may hold the task.
    """
    held = queries.held(lease.task_id, lease.token)
    found: RawDocument | None = await tasks.find_one_and_update(
        held, update, dict.fromkeys(("_id", *fields), 1), session=session
    )
    if found is None:
        raise LeaseLostError(lease.task_id, lease.attempt)
    return found
