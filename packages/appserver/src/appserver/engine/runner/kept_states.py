"""Kept states: what a host knows of runs that it has read or written lately, so that it need not fold them again."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from appdb.models import Run, RunState, RunView

MOST_BYTES = 32 * 1024 * 1024
"""Of all states that a host keeps, with their runs."""
RUN_BYTES = 4 * 1024
"""What a run and its place here take beside its state."""
LARGEST_BYTES = 4 * 1024 * 1024
"""Of one state."""


READ_AFTER_EVENTS = 200
"""A host that has written so many since it read a run reads it again: reads leave snapshots, where others begin."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run and its state at a place in the run's history: a log never changes, so the state there is always the same.

    The time of the last write is a part of it: a database that was restored may have other events of the same numbers.
    """

    run: Run
    state: bytes
    read_at: int
    """How many events the run had when it was read last."""
    shared: bool
    """Whether another host has written to the run since this one knows it."""

    def is_of(self, run: Run) -> bool:
        """Return whether the state is that of *run*, which has just been read."""
        return _place(self.run) == _place(run) and not self.old(run)

    def old(self, run: Run) -> bool:
        """Return whether the run is to be read again, however well its state is known."""
        return run.event_count - self.read_at >= READ_AFTER_EVENTS

    def view(self) -> RunView:
        """Return the run with a copy of its state."""
        state: RunState = pickle.loads(self.state)  # noqa: S301 - made by this process, and never outside of it
        return RunView(run=self.run, state=state)


class KeptStates:
    """
    The newest states of runs, those that were used last; a hint, which counts only where the run itself is still there.

    Each is kept as bytes: what a module changes in what it is given changes nothing here, and the bytes are its weight.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES, largest_bytes: int = LARGEST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._largest_bytes = largest_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def __contains__(self, run_id: str) -> bool:
        """Say whether some state of the run is kept."""
        return run_id in self._kept

    def keep_read(self, view: RunView) -> None:
        """Keep the state of a run that was read, in place of what is kept of it."""
        before = self._kept.get(view.run.id)
        shared = before is not None and (before.shared or _place(before.run) != _place(view.run))
        self._keep(view, read_at=view.run.event_count, shared=shared)

    def keep_written(self, view: RunView) -> None:
        """Keep the state of a run behind what this host has written."""
        before = self._kept.get(view.run.id)
        if before is None:
            self._keep(view, read_at=0, shared=False)
        else:
            self._keep(view, read_at=before.read_at, shared=before.shared)

    def forget(self, run_id: str) -> None:
        """Keep nothing of a run."""
        self._drop(run_id)

    def find(self, run: Run) -> RunState | None:
        """Return the state of *run*, which has just been read; ``None`` where it must be read with its events."""
        kept = self._kept.get(run.id)
        if kept is None or not kept.is_of(run):
            return None
        self._kept.move_to_end(run.id)
        return kept.view().state

    def presumed(self, run_id: str, owner_id: str) -> RunView | None:
        """Return a run as it is unless another host has written to it; ``None`` where that is known or likely."""
        kept = self._kept.get(run_id)
        if kept is None or kept.shared or kept.run.owner_id != owner_id or kept.old(kept.run):
            return None
        self._kept.move_to_end(run_id)
        return kept.view()

    def _keep(self, view: RunView, *, read_at: int, shared: bool) -> None:
        self._drop(view.run.id)
        state = pickle.dumps(view.state, pickle.HIGHEST_PROTOCOL)
        if len(state) > self._largest_bytes:
            return
        self._kept[view.run.id] = _Kept(view.run, state, read_at, shared)
        self._bytes += RUN_BYTES + len(state)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, run_id: str) -> None:
        gone = self._kept.pop(run_id, None)
        self._bytes -= 0 if gone is None else RUN_BYTES + len(gone.state)


def _place(run: Run) -> tuple[str, int, datetime]:
    return run.branch_id, run.event_count, run.updated_at
