"""Missed events: what a viewer of a run has missed, read from the log at the viewer's own pace."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator

from appdb import EventRepository
from appdb.models import Run, RunEvent
from appserver.streams.branch_starts import StartViews, branch_start
from appserver.streams.cursor import BEFORE_ALL
from appserver.streams.log_reader import PAGE
from appserver.streams.run_frames import NOTHING_LIVE, RunEncoder, RunFrame, frame_of, start_frame


class MissedEvents:
    """
    The events of a run that a viewer has missed.

    Behind the event with which the current branch begins comes a snapshot of the run as it was there; of the branches
    that were left meanwhile, none is needed.

    Args:
        run: The run, as it was when the viewer came.
        events: Its log.
        starts: The run behind the events with which branches begin.
        encode: The form in which frames are sent.
    """

    def __init__(self, run: Run, events: EventRepository, starts: StartViews, encode: RunEncoder) -> None:
        self._run = run
        self._events = events
        self._starts = starts
        self._encode = encode

    async def since(self, after: int) -> AsyncGenerator[RunFrame]:
        """Yield what is logged now behind the event *after*, the newest one that the viewer knows.

        Where the current branch begins with *after*, its snapshot comes once more: the viewer may have gone before it.
        """
        async for event in self._logged(max(after - 1, BEFORE_ALL)):
            if event.seq > after:
                yield await self._frame(event)
            elif self._begins_last_branch(event):
                start = await self._starts.behind(event)
                yield self._encode.snapshot(start.view, start.completion, NOTHING_LIVE)

    async def between(self, after: int, before: int) -> AsyncGenerator[RunFrame]:
        """Yield the events behind *after*, up to and without *before*, which are all logged."""
        async for event in self._logged(after, before):
            yield await self._frame(event)

    async def _frame(self, event: RunEvent) -> RunFrame:
        if not self._begins_last_branch(event):
            return frame_of(event, self._encode)
        # What is live is told to a viewer that has read all events, and replaces this.
        return start_frame(event, await self._starts.behind(event), NOTHING_LIVE, self._encode)

    def _begins_last_branch(self, event: RunEvent) -> bool:
        """Return whether *event* begins a branch that, as far as is known, the run has not left."""
        later = event.seq >= self._run.event_count
        return (later or event.branch_id == self._run.branch_id) and branch_start(event) is not None

    async def _logged(self, after: int, before: int | None = None) -> AsyncGenerator[RunEvent]:
        while before is None or before > after + 1:
            run = self._run
            page = deque(await self._events.log(run.id, owner_id=run.owner_id, after=after, limit=PAGE))
            if not page:
                return
            # A viewer may take long, and what it has taken is kept no longer.
            while page:
                event = page.popleft()
                if before is not None and event.seq >= before:
                    return
                after = event.seq
                yield event
