"""Run frames: the events of a run as they are sent, encoded once for all of its viewers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from appdb import TaskEvent
from appdb.models import OpenQuestion, Run, RunEvent, RunView
from appserver.streams.branch_starts import BranchStart, StartView, branch_start
from appserver.streams.live_tasks import LiveTask


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFrame:
    """One event of a run's stream as it is sent.

    Args:
        seq: The number of the newest event of the run that a viewer knows after this frame; ``None`` for what rides
            along without a number, such as the progress of a task.
        name: The event's name on the wire, by which a viewer may choose.
        module: The module that it concerns, by which a viewer may choose.
        always: Whether it is sent whatever a viewer has chosen, since without it the rest would be misread.
        note: What is sent before it whatever a viewer has chosen, such as that a branch begins with it.
        behind: What is sent behind it whatever a viewer has chosen, such as the run as it goes on on another branch.
        ends: Whether the run has ended with it.
        text: The bytes on the wire, in the form of the face that encoded them.
    """

    seq: int | None
    name: str
    module: str | None = None
    always: bool = False
    ends: bool = False
    note: bytes = b""
    behind: bytes = b""
    text: bytes

    @property
    def weight(self) -> int:
        """The bytes that a viewer which has yet to take it holds."""
        return len(self.note) + len(self.text) + len(self.behind)


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePicture:
    """The picture of a run beside its log, as a reader of it has it at a moment.

    Args:
        tasks: The live tasks, with what they have streamed so far.
        asked: What the runs below it ask, the oldest first.
    """

    tasks: Sequence[LiveTask] = ()
    asked: Sequence[OpenQuestion] = ()


NOTHING_LIVE = LivePicture()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChoice:
    """The choice of a viewer among the events of a run; empty for everything."""

    types: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()

    def parts_of(self, frame: RunFrame) -> Iterator[bytes]:
        """Yield what is sent of *frame*, in order; perhaps nothing."""
        # Not joined: that would make a copy for each viewer of what all of them share.
        for part in (frame.note, frame.text if self._has(frame) else b"", frame.behind):
            if part:
                yield part

    def _has(self, frame: RunFrame) -> bool:
        if frame.always:
            return True
        return (not self.types or frame.name in self.types) and (not self.modules or frame.module in self.modules)


EVERYTHING = FrameChoice()


class RunEncoder(Protocol):
    """The form in which a face sends the events of runs."""

    def event(self, event: RunEvent, begins: BranchStart | None) -> RunFrame:
        """Return an event of the run's log, with a note about the branch that *begins* with it."""

    def task_event(self, event: TaskEvent, task: LiveTask) -> RunFrame:
        """Return an event of the log of a task of the run."""

    def rollback(self, task: LiveTask) -> RunFrame:
        """Return the note that what the task's earlier attempts have streamed counts no more."""

    def snapshot(self, view: RunView, ending: RunEvent | None, live: LivePicture) -> RunFrame:
        """Return the run as it is, with the event of its end if it has ended, and what is *live* beside its log."""

    def tasks(self, seq: int, live: LivePicture) -> RunFrame:
        """Return what is *live* beside the log, for a viewer that knows the run up to event *seq*."""

    def parts(self, asked: Sequence[OpenQuestion]) -> RunFrame:
        """Return what the runs below it ask now."""

    def end(self, run: Run) -> RunFrame:
        """Return the end of the stream, with what can still be done with the run."""


def frame_of(event: RunEvent, encode: RunEncoder) -> RunFrame:
    """Return *event* as it is sent."""
    return encode.event(event, branch_start(event))


def start_frame(event: RunEvent, start: StartView, live: LivePicture, encode: RunEncoder) -> RunFrame:
    """Return *event*, with which a branch begins, as it is sent, and behind it the run as it was there.

    Args:
        event: The event.
        start: The run as it was behind it.
        live: What is told beside its log.
        encode: The form in which both are sent.
    """
    # In one frame, so that a viewer which gets the one from a reader gets the other too.
    snapshot = encode.snapshot(start.view, start.completion, live)
    # A run that returns to a branch is as it was there, also ended.
    return replace(frame_of(event, encode), behind=snapshot.text, ends=start.view.run.position.ended is not None)
