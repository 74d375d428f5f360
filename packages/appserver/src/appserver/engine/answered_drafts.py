"""Drafts of answers that were accepted: deleted behind the replies, many at once, so that no answer waits for it."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from appdb import AnswerRepository
from appdb.host import every, survive

INTERVAL = timedelta(seconds=1)
AT_ONCE = 500
MOST_NOTED = 10_000
"""Drafts that wait to be deleted while the database cannot be reached; what is over that expires by itself."""


class AnsweredDrafts:
    """
    Notes the questions that are answered, and deletes what their owners had begun to answer.

    Args:
        answers: Where drafts are.
    """

    def __init__(self, answers: AnswerRepository) -> None:
        self._answers = answers
        self._noted: dict[tuple[str, str, str], None] = {}

    def note(self, owner_id: str, run_id: str, interaction_id: str) -> None:
        """Have the draft for a question deleted within a second or two."""
        if len(self._noted) < MOST_NOTED:
            self._noted[owner_id, run_id, interaction_id] = None

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
