"""Event rows: events of a run as they are stored, under numbers that the run has counted."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import BulkWriteError, Collection, RawDocument, Session, refused
from appdb.errors import ConflictError
from appdb.models.events import NewRunEvent, RunEvent
from appdb.models.workflow_runs import Run
from appdb.runs.transitions import EventSubject
from appdb.size_limits import DUPLICATE_KEY


async def insert_events(
    collection: Collection,
    run: Run,
    branch_id: str,
    first: int,
    events: Sequence[tuple[NewRunEvent, EventSubject]],
    session: Session,
) -> list[RunEvent]:
    """Write *events* with numbers from *first* on, which the caller has counted in *run*.

    Raises:
        ConflictError: An id is taken; the transaction is lost.
    """
    # After the run itself, in the same transaction: a number exists only together with its event, so there is no
    # gap for readers who ask for what comes after a number (decision 0008).
    rows = [_row(run, branch_id, first + offset, *event) for offset, event in enumerate(events)]
    try:
        await collection.insert_many(rows, session=session)
    except BulkWriteError as exc:
        taken = [events[at][0].event_id for at, code in refused(exc).items() if code == DUPLICATE_KEY]
        if not taken:
            raise
        raise ConflictError("event", taken[0], "its id is taken by another event; make a new id") from exc
    return [RunEvent.from_document(row) for row in rows]


def _row(run: Run, branch_id: str, seq: int, event: NewRunEvent, subject: EventSubject) -> RawDocument:
    return {
        "_id": event.event_id,
        "run_id": run.id,
        "owner_id": run.owner_id,
        "branch_id": branch_id,
        "seq": seq,
        "type": event.type.value,
        "step": subject.step,
        "module": subject.module,
        "interaction_id": subject.interaction_id,
        "version_id": run.version_id,
        "data": dict(event.data),
        "created_at": run.updated_at,
    }
