"""Drafts of answers to settled questions: deleted behind the replies, many at once, so that no answer waits for it."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from appdb import AnswerRepository
from appdb.host import every, survive
from appdb.models import Run

INTERVAL = timedelta(seconds=1)
AT_ONCE = 500
MOST_NOTED = 10_000
"""Drafts that wait to be deleted while the database cannot be reached; what is over that expires by itself."""


class SettledDrafts:
    """
    Notes the questions that are answered, expired or undone, and deletes what their owners had begun to answer.

    Args:
        answers: Where drafts are.
    """

    def __init__(self, answers: AnswerRepository) -> None:
        self._answers = answers
        self._noted: dict[tuple[str, str, str], None] = {}

    def note(self, before: Run, after: Run | None) -> None:
        """Have the draft for the question that was open deleted within a second or two, unless it is open still.

        Args:
            before: The run before something was written.
            after: The run after that; ``None`` where whatever was open is undone.
        """
        asked = before.position.interaction_id
        still_open = after is not None and after.position.interaction_id == asked
        if asked is not None and not still_open and len(self._noted) < MOST_NOTED:
            self._noted[before.owner_id, before.id, asked] = None

    async def run(self) -> None:
        """Delete until cancelled, and then what is left."""
        try:
            await every(INTERVAL, self.delete_noted)
        finally:
            await survive(self.delete_noted)

    async def delete_noted(self) -> None:
        """Delete the drafts that are noted: one round trip for each 500, and none for none."""
        while some := list(islice(self._noted, AT_ONCE)):
            await self._answers.delete_drafts(some)
            for key in some:
                self._noted.pop(key, None)
