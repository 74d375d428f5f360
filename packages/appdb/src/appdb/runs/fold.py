"""The fold: the run state that results from the events of a line of history, applied in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from appdb.events import DbEventType as E
from appdb.models.events import EventSummary, RunEvent
from appdb.models.run_state import STATE_VALUES, Given, RunState
from appdb.models.vocabulary import is_known
from appdb.models.workflow_runs import Position
from appdb.runs.ongoing import Ongoing
from appdb.runs.reserved_data import KEEP, ids_in
from appdb.runs.transitions import UNSTABLE, EventSubject, position_changes

FOLD_VERSION = 4
"""Raised with every change of the fold's results, or of what snapshots hold: those of another version are not used."""

EMPTY = RunState()
_LEADS_BACK = frozenset({E.RETRY_REQUESTED, E.JUMP_REQUESTED, E.BRANCH_SWITCHED, E.WORKFLOW_RESUMED})


def fold_events(events: Iterable[RunEvent], state: RunState = EMPTY) -> RunState:
    """Return the state after *events*, which follow *state* in this order; *state* itself is not changed.

    It needs no database, and folding in parts gives what folding at once gives.
    """
    draft = _Draft.of(state)
    for event in events:
        draft.apply(event)
    return draft.finished()


@dataclass(slots=True)
class _Draft:
    """A run state while events are applied to it."""

    seq: int
    stable_seq: int
    last_type: E | None
    position: Position
    steps: list[str]
    modules: dict[str, list[str]]
    outputs: dict[tuple[str, str], EventSummary]
    given: list[Given]
    pending: EventSummary | None
    error: EventSummary | None
    unknown_type: str | None
    created: EventSummary | None
    went_back: EventSummary | None
    ongoing: Ongoing

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
            given=list(state.given),
            pending=state.pending,
            error=state.error,
            unknown_type=state.unknown_type,
            created=state.created,
            went_back=state.went_back,
            ongoing=Ongoing.of(state),
        )

    def finished(self) -> RunState:
        return RunState(
            seq=self.seq,
            stable_seq=self.stable_seq,
            last_type=self.last_type,
            position=self.position,
            steps_completed=tuple(self.steps),
            modules_completed={step: tuple(names) for step, names in self.modules.items()},
            outputs=dict(self.outputs),
            given=tuple(self.given),
            pending=self.pending,
            error=self.error,
            unknown_type=self.unknown_type,
            waiting_on=tuple(self.ongoing.waits.values()),
            sub_actions=dict(self.ongoing.sub_actions),
            work=self.ongoing.sorted(),
            signals=tuple(self.ongoing.signals.values()),
            taken=dict(self.ongoing.taken),
            started=dict(self.ongoing.started),
            responses=dict(self.ongoing.responses),
            created=self.created,
            went_back=self.went_back,
        )

    def apply(self, event: RunEvent) -> None:
        place, module_before = self._within(event), self.position.module
        self._progress(event, place)
        if event.type is E.WORKFLOW_CREATED:
            self.created, self.went_back = EventSummary.of(event), None
        elif event.type in _LEADS_BACK:
            self.went_back = EventSummary.of(event)
        changed = position_changes(
            EventSubject(type=event.type, step=event.step, module=event.module, interaction_id=event.interaction_id)
        )
        if changed:
            self.position = self.position.model_copy(update=changed)
        if self.position.step in self.steps:
            # A step that runs again is not completed.
            self.steps.remove(self.position.step)
        self._asks(event, goes_on="ended" in changed and changed["ended"] is None)
        self.ongoing.apply(event, place, self.position, module_before)
        self.seq, self.last_type = event.seq, event.type
        if event.type not in UNSTABLE:
            self.stable_seq = event.seq
        if not is_known(event.type):
            self.unknown_type = event.type.value

    def _progress(self, event: RunEvent, place: tuple[str, str]) -> None:
        match event.type:
            case E.WORKFLOW_CREATED:
                self.steps, self.modules, self.outputs, self.given = [], {}, {}, []
                self.ongoing.clear()
            case E.STEP_STARTED:
                self._restart(event.step or "")
            case E.STEP_COMPLETED:
                _add(self.steps, event.step or "")
            case E.MODULE_COMPLETED:
                self._complete(event)
            case E.MODULE_SKIPPED:
                self._skip(event.step or "", event.module or "")
            case E.SUB_ACTION_COMPLETED:
                self._give(event, *place)
            case E.RETRY_REQUESTED:
                self._rewind(event.step or self.position.step or "", event.module, ids_in(event.data, KEEP))

    def _complete(self, event: RunEvent) -> None:
        step, module = event.step or "", event.module or ""
        _add(self.modules.setdefault(step, []), module)
        # Removed first, so that the dictionary keeps the last completion last.
        self.outputs.pop((step, module), None)
        self.outputs[step, module] = EventSummary.of(event)
        self._give(event, step, module)

    def _skip(self, step: str, module: str) -> None:
        _add(self.modules.setdefault(step, []), module)
        self.outputs.pop((step, module), None)
        self.given = [given for given in self.given if (given.step, given.module) != (step, module)]

    def _within(self, event: RunEvent) -> tuple[str, str]:
        """Return the step and module that an event is about: the open ones, or those of the last output, unless it
        names some."""
        module = event.module or self.position.module
        if module is not None:
            return event.step or self.position.step or "", module
        return next(reversed(self.outputs), ("", ""))

    def _give(self, event: RunEvent, step: str, module: str) -> None:
        named = event.data.get(STATE_VALUES)
        if not isinstance(named, Mapping):
            return
        place = (step, module)
        # Values that others gave under the same name stay: they come back when this module is undone.
        before = [given for given in self.given if (given.step, given.module) != place or given.name not in named]
        kept = EventSummary.of(event)
        self.given = before + [Given(name=name, step=step, module=module, kept=kept) for name in named]

    def _restart(self, step: str) -> None:
        if step in self.steps:
            self.steps.remove(step)
        self._keep({one: names for one, names in self.modules.items() if one != step}, {step})

    def _rewind(self, step: str, module: str | None, sub_actions: Collection[str]) -> None:
        """Undo *module* and all that came after it, but for *sub_actions*."""
        # A retry must show what a jump to the same module shows: nothing of what has to run again.
        if not step:
            # Logs of older releases may retry where nothing has begun.
            return
        after = self._begun_after(step)
        names = self.modules.get(step, [])
        stays = names[: names.index(module)] if module in names else names
        kept = {one: list(stays) if one == step else done for one, done in self.modules.items() if one not in after}
        if step in self.steps:
            del self.steps[self.steps.index(step) :]
        self._keep({one: done for one, done in kept.items() if done}, {step, *after}, sub_actions)

    def _begun_after(self, step: str) -> set[str]:
        """Return the steps that began after *step*."""
        after: set[str] = set()
        for order in (list(self.modules), self.steps):
            after.update(order[order.index(step) + 1 :] if step in order else ())
        current = self.position.step
        return after if current in (None, step) else {*after, current}

    def _keep(self, modules: dict[str, list[str]], undone: Collection[str], sub_actions: Collection[str] = ()) -> None:
        """Keep *modules* as completed, and of the steps *undone* nothing that others gave, but for *sub_actions*."""

        def stays(step: str, module: str) -> bool:
            return step not in undone or module in modules.get(step, ())

        self.modules = modules
        self.outputs = {place: output for place, output in self.outputs.items() if stays(*place)}
        self.given = [given for given in self.given if stays(given.step, given.module)]
        self.ongoing.undo(stays, sub_actions)

    def _asks(self, event: RunEvent, *, goes_on: bool) -> None:
        if event.type is E.INTERACTION_REQUESTED:
            self.pending = EventSummary.of(event)
        elif self.position.interaction_id is None:
            self.pending = None
        if event.type in (E.MODULE_ERROR, E.WORKFLOW_ERROR):
            self.error = EventSummary.of(event)
        elif goes_on or self._mends(event):
            self.error = None

    def _mends(self, event: RunEvent) -> bool:
        """Return whether a module whose error stands begins again, or has come to its end."""
        return (
            event.type in (E.MODULE_STARTED, E.MODULE_COMPLETED, E.MODULE_SKIPPED)
            and self.error is not None
            and (self.error.step, self.error.module) == (event.step, event.module)
        )


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
