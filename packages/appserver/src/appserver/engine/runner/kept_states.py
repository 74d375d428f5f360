"""Kept states: what a host knows of runs that it has read or written lately, so that it need not fold them again."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from appdb.models import Run, RunState, RunView

MOST_BYTES = 32 * 1024 * 1024
"""Of all states that a host keeps."""
LARGEST_BYTES = 4 * 1024 * 1024
"""Of one state."""


READ_AFTER_EVENTS = 200
"""A host that has written so many since it read a run reads it again: reads leave snapshots, where others begin."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a run's history: a log never changes, so the state there is always the same.

    The time of the last write is a part of it: a database that was restored may have other events of the same numbers.
    """

    branch_id: str
    event_count: int
    updated_at: datetime

    @classmethod
    def of(cls, run: Run) -> _Place:
        return cls(run.branch_id, run.event_count, run.updated_at)


@dataclass(frozen=True, slots=True)
class _Kept:
    place: _Place
    whole: bytes
    read_at: int
    """How many events the run had when it was read last."""


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
        self._keep(view, view.run.event_count)

    def keep_written(self, view: RunView) -> None:
        """Keep the state of a run behind what this host has written."""
        before = self._kept.get(view.run.id)
        self._keep(view, 0 if before is None else before.read_at)

    def find(self, run: Run) -> RunState | None:
        """Return the state of *run*, which has just been read; ``None`` where it must be read with its events."""
        kept = self._kept.get(run.id)
        if kept is None or kept.place != _Place.of(run) or run.event_count - kept.read_at >= READ_AFTER_EVENTS:
            return None
        self._kept.move_to_end(run.id)
        state: RunState = pickle.loads(kept.whole)  # noqa: S301 - made by this process, and never outside of it
        return state

    def _keep(self, view: RunView, read_at: int) -> None:
        self._drop(view.run.id)
        whole = pickle.dumps(view.state, pickle.HIGHEST_PROTOCOL)
        if len(whole) > self._largest_bytes:
            return
        self._kept[view.run.id] = _Kept(_Place.of(view.run), whole, read_at)
        self._bytes += len(whole)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, run_id: str) -> None:
        gone = self._kept.pop(run_id, None)
        self._bytes -= 0 if gone is None else len(gone.whole)
