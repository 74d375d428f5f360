"""Parts of a run: what its child runs ask, theirs included."""

from __future__ import annotations

from appdb import RunListRepository
from appdb.models import OpenQuestion, RunView
from appserver.streams.part_questions import MOST_QUESTIONS, waits_for_parts


async def questions_of_parts(view: RunView, lists: RunListRepository) -> list[OpenQuestion]:
    """Return the open questions of the runs below a run, the oldest first; without a read where it waits for none."""
    if not waits_for_parts(view.state):
        return []
    return await lists.inbox(owner_id=view.run.owner_id, below=view.run.id, limit=MOST_QUESTIONS)
