"""Snapshots: states of a run in a compact form, from which reading goes on."""

from __future__ import annotations

from datetime import datetime

from appdb.models.base import Document, Value
from appdb.models.workflow_runs import Position


class CompletedModules(Value):
    """Modules of a step, in the order in which they were completed first."""

    step: str
    names: tuple[str, ...]


class NamedValue(Value):
    """A value with a name in the run's state, and the id of the event that gave it."""

    name: str
    step: str
    module: str
    event: str


class StoredWait(Value):
    """A wait of a run, and the id of the event that began it."""

    kind: str
    id: str
    step: str | None
    module: str | None
    event: str


class StoredSubAction(Value):
    """A sub-action, and the ids of the events that began and ended it."""

    id: str
    step: str
    module: str
    started: str
    ended: str | None


class StoredSignal(Value):
    """A message that was taken, by the id of its event, and who took it."""

    event: str
    step: str
    module: str
    sub_action_id: str | None


# Ids in the place of events keep a snapshot small, however large the data of its events is.
class CompactState(Value):
    """A ``RunState`` with ids in the place of events."""

    seq: int
    stable_seq: int
    last_type: str | None
    position: Position
    steps: tuple[str, ...]
    modules: tuple[CompletedModules, ...]
    outputs: tuple[str, ...]
    given: tuple[NamedValue, ...]
    unknown_type: str | None
    pending: str | None
    error: str | None
    # Snapshots of older folds, which nobody uses, lack these.
    events: tuple[int, ...] = ()
    """The numbers of the events that it names, by which they are found together with those behind it."""
    waits: tuple[StoredWait, ...] = ()
    sub_actions: tuple[StoredSubAction, ...] = ()
    signals: tuple[str, ...] = ()
    taken: tuple[StoredSignal, ...] = ()
    started: tuple[str, ...] = ()
    responses: tuple[str, ...] = ()
    created: str | None = None
    went_back: str | None = None


class Snapshot(Document):
    """A state, as stored in ``snapshots``: it names the events that it keeps, and holds none of their data."""

    run_id: str
    owner_id: str
    branch_id: str
    """The branch that has the event ``seq``."""
    seq: int
    fold_version: int
    state: CompactState
    created_at: datetime
