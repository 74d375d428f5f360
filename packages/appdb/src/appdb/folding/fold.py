"""The fold: what events of a line of history add up to, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appdb.events import DbEventType as E
from appdb.folding.marks import HALF_DONE, Where, marks
from appdb.models.event import RunEvent
from appdb.models.run import Position
from appdb.models.state import MAPPED, Kept, RunState

FOLD_VERSION = 1
"""Raised with every change of what the fold makes of events: snapshots of another version are not used."""

EMPTY = RunState()


def fold(events: Iterable[RunEvent], state: RunState = EMPTY) -> RunState:
    """Return what *state* becomes by *events*, which follow it in this order; *state* itself stays as it is."""
    draft = _Draft.of(state)
    for event in events:
        draft.take(event)
    return draft.state()


@dataclass(slots=True)
class _Draft:
    """A state that is being folded."""

    seq: int
    stable_seq: int
    last_type: E | None
    position: Position
    steps: list[str]
    modules: dict[str, list[str]]
    outputs: dict[tuple[str, str], Kept]
    mapped: dict[str, Kept]
    pending: Kept | None
    error: Kept | None

    @classmethod
    def of(cls, state: RunState) -> _Draft:
        return cls(
            seq=state.seq,
            stable_seq=state.stable_seq,
            last_type=state.last_type,
            position=state.position,
            steps=list(state.steps_completed),
            modules={step: list(names) for step, names in state.modules_completed.items()},
            outputs=dict(state.outputs),
            mapped=dict(state.mapped),
            pending=state.pending,
            error=state.error,
        )

    def state(self) -> RunState:
        return RunState(
            seq=self.seq,
            stable_seq=self.stable_seq,
            last_type=self.last_type,
            position=self.position,
            steps_completed=tuple(self.steps),
            modules_completed={step: tuple(names) for step, names in self.modules.items() if names},
            outputs=dict(self.outputs),
            mapped=dict(self.mapped),
            pending=self.pending,
            error=self.error,
        )

    def take(self, event: RunEvent) -> None:
        self._progress(event)
        changed = marks(
            Where(type=event.type, step=event.step, module=event.module, interaction_id=event.interaction_id)
        )
        self.position = self.position.model_copy(update=changed)
        if self.position.step in self.steps:
            self.steps.remove(self.position.step)  # what runs again is not completed
        self._asks(event, goes_on="ended" in changed and changed["ended"] is None)
        self.seq, self.last_type = event.seq, event.type
        if event.type not in HALF_DONE:
            self.stable_seq = event.seq

    def _progress(self, event: RunEvent) -> None:
        match event.type:
            case E.WORKFLOW_CREATED:
                self._clear()
            case E.STEP_STARTED:
                self._restart(event.step or "")
            case E.STEP_COMPLETED:
                _add(self.steps, event.step or "")
            case E.MODULE_COMPLETED:
                self._complete(event)
            case E.SUB_ACTION_COMPLETED:
                self._map(event)
            case E.RETRY_REQUESTED:
                self._rewind(event.step or self.position.step or "", event.module)

    def _clear(self) -> None:
        self.steps, self.modules, self.outputs, self.mapped = [], {}, {}, {}

    def _restart(self, step: str) -> None:
        if step in self.steps:
            self.steps.remove(step)
        self.modules.pop(step, None)

    def _complete(self, event: RunEvent) -> None:
        step, module = event.step or "", event.module or ""
        _add(self.modules.setdefault(step, []), module)
        self.outputs.pop((step, module), None)  # so that the last completion comes last
        self.outputs[step, module] = _kept(event)
        self._map(event)

    def _map(self, event: RunEvent) -> None:
        named = event.data.get(MAPPED)
        if isinstance(named, Mapping):
            self.mapped |= dict.fromkeys(named, _kept(event))

    def _rewind(self, step: str, module: str | None) -> None:
        """Undo the completion of *module* and of all that came after it."""
        if step in self.steps:
            for later in self.steps[self.steps.index(step) + 1 :]:
                self.modules.pop(later, None)
            del self.steps[self.steps.index(step) :]
        current = self.position.step
        if current is not None and current != step:
            self.modules.pop(current, None)
        names = self.modules.get(step, [])
        if module in names:
            del names[names.index(module) :]

    def _asks(self, event: RunEvent, *, goes_on: bool) -> None:
        if event.type is E.INTERACTION_REQUESTED:
            self.pending = _kept(event)
        elif self.position.interaction_id is None:
            self.pending = None
        if event.type in (E.MODULE_ERROR, E.WORKFLOW_ERROR):
            self.error = _kept(event)
        elif goes_on:
            self.error = None


def _kept(event: RunEvent) -> Kept:
    return Kept(seq=event.seq, event_id=event.id, step=event.step, module=event.module, data=event.data)


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
