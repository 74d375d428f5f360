"""Parts of a run: what its child runs ask, theirs included."""

from __future__ import annotations

from appdb import RunListRepository
from appdb.models import OpenQuestion, RunView, WaitKind

MOST_QUESTIONS = 20
"""Of parts, that are told with a run; the inbox has all."""


async def questions_of_parts(view: RunView, lists: RunListRepository) -> list[OpenQuestion]:
    """Return the open questions of the runs below a run, the oldest first; without a read where it waits for none."""
    if all(wait.kind is not WaitKind.CHILD for wait in view.state.waiting_on):
        return []
    return await lists.inbox(owner_id=view.run.owner_id, below=view.run.id, limit=MOST_QUESTIONS)
