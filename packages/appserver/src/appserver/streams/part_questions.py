"""Part questions: what the runs below a watched run ask, read for all of its viewers after a hint."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from appdb import AppDbError, ChangeFeed, RunListRepository
from appdb.feed import Subscription, questions_topic, run_topic
from appdb.models import OpenQuestion, RunState, WaitKind

MOST_QUESTIONS = 20
"""Of parts, that are told with a run; the inbox has all."""
REST = timedelta(seconds=0.5)
"""The least time between two reads: hints that come meanwhile, however many, lead to one."""


def waits_for_parts(state: RunState) -> bool:
    """Return whether a run waits for runs below it; else none of them can ask anything."""
    return any(wait.kind is WaitKind.CHILD for wait in state.waiting_on)


class PartQuestions:
    """
    The open questions below one run.

    A question that appears is hinted at by the topic of questions below the run. One that is settled, or gives way to
    another, is hinted at by the run that asks: of those few, each is followed while it asks.

    Args:
        run_id: The run.
        owner_id: Its owner.
        lists: Where open questions are found.
        feed: Gives the hints.
        woken: Woken by a hint.
    """

    def __init__(
        self, run_id: str, owner_id: str, lists: RunListRepository, feed: ChangeFeed, woken: Subscription
    ) -> None:
        self._run_id, self._owner_id = run_id, owner_id
        self._lists = lists
        self._feed = feed
        self._woken = woken
        self._topics: set[str] = set()
        self._hinted = False
        self._may_read_at = 0.0
        self._told: list[tuple[str, str]] = []
        self.open: tuple[OpenQuestion, ...] = ()
        """As far as they were read, the oldest first; at most 20."""

    def hint(self) -> None:
        """Look at the questions at the next opportunity, while the run waits for parts."""
        self._hinted = bool(self._topics)

    @property
    def rest(self) -> timedelta:
        """How long a read that is due has to wait for the rest after the last one; zero also when none is due."""
        left = self._may_read_at - asyncio.get_running_loop().time()
        return timedelta(seconds=max(0.0, left)) if self._hinted else timedelta(0)

    def follow(self, state: RunState) -> None:
        """Follow what is below the run while, in this *state*, it waits for parts; else nothing is asked there."""
        if not waits_for_parts(state):
            self.close()
        elif not self._topics:
            self._listen({questions_topic(self._run_id)})
            self.hint()

    def close(self) -> None:
        """Follow nothing any more."""
        self.open = ()
        self._listen(set())
        self._hinted = False

    async def look(self) -> bool:
        """Read the questions where that is due; return whether they are others than at the last look."""
        if self._hinted and not self.rest:
            # Before the read: a hint that comes meanwhile may be for what this read does not see.
            self._hinted = False
            self._may_read_at = asyncio.get_running_loop().time() + REST.total_seconds()
            try:
                self.open = await self._found()
            except AppDbError:
                self._hinted = True
                raise
        told, self._told = self._told, [(one.run.id, one.interaction_id) for one in self.open]
        return told != self._told

    async def _found(self) -> tuple[OpenQuestion, ...]:
        found = await self._lists.waiting(owner_id=self._owner_id, below=self._run_id, limit=MOST_QUESTIONS)
        topics = {questions_topic(self._run_id), *(run_topic(one.run.id) for one in found)}
        # One of them may have been settled before it was followed.
        self._hinted = self._hinted or bool(topics - self._topics)
        self._listen(topics)
        return tuple(found)

    def _listen(self, topics: set[str]) -> None:
        for topic in topics - self._topics:
            self._feed.add(topic, self)
            self._feed.add(topic, self._woken)
        for topic in self._topics - topics:
            self._feed.remove(topic, self)
            self._feed.remove(topic, self._woken)
        self._topics = topics
