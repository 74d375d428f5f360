"""The fold of what is under way: waits, sub-actions, messages, and the starts and answers of modules."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from appdb.events import DbEventType as E
from appdb.models.events import EventSummary, RunEvent
from appdb.models.ongoing import ModuleWork, SubAction, TakenSignal, Wait, WaitKind
from appdb.models.run_state import TAKES, WAITING_ON, RunState, sorted_work
from appdb.models.workflow_runs import Position
from appdb.runs.reserved_data import ids_in, signal_id_of, waits_of
from appdb.runs.transitions import SETTLES

_OF_MODULE = frozenset({E.MODULE_STARTED, E.MODULE_COMPLETED, E.MODULE_SKIPPED, E.MODULE_ERROR})
_OF_SUB_ACTION = frozenset({E.SUB_ACTION_STARTED, E.SUB_ACTION_COMPLETED, E.SUB_ACTION_FAILED})


class _ChangingWork:
    """The work of a module while events are applied to it.

    Args:
        work: As it was before.
    """

    def __init__(self, work: ModuleWork) -> None:
        self._all, self._open, self._failed = dict(work.all), dict(work.open), dict(work.failed)

    def remove(self, name: str) -> None:
        """Forget a sub-action."""
        for known in (self._all, self._open, self._failed):
            known.pop(name, None)

    def put(self, sub: SubAction) -> None:
        """Let a sub-action have begun or ended."""
        self._all[sub.id] = sub
        for known in (self._open, self._failed):
            known.pop(sub.id, None)
        if sub.ended is None:
            self._open[sub.id] = sub
        elif sub.failed:
            self._failed[sub.id] = sub

    def finished(self) -> ModuleWork:
        """Return the work as it is now."""
        return ModuleWork(all=self._all, open=self._open, failed=self._failed)


@dataclass(slots=True)
class Ongoing:
    """The ongoing waits, sub-actions and messages of a run while events are applied to it."""

    waits: dict[tuple[str, str], Wait]
    sub_actions: dict[str, SubAction]
    work: dict[tuple[str, str], ModuleWork]
    signals: dict[str, EventSummary]
    taken: dict[str, TakenSignal]
    started: dict[tuple[str, str], EventSummary]
    responses: dict[str, EventSummary]
    changing: dict[tuple[str, str], _ChangingWork] = field(default_factory=dict)
    """The work of the modules of which something has happened."""

    @classmethod
    def of(cls, state: RunState) -> Ongoing:
        """Return what is under way in *state*, to be changed."""
        return cls(
            waits={(wait.kind.value, wait.id): wait for wait in state.waiting_on},
            sub_actions=dict(state.sub_actions),
            work=dict(state.work),
            signals={signal_id_of(kept): kept for kept in state.signals},
            taken=dict(state.taken),
            started=dict(state.started),
            responses=dict(state.responses),
        )

    def undo(self, stays: Callable[[str, str], bool], kept: Collection[str] = ()) -> None:
        """Forget what belongs to modules that do not stay, but for the sub-actions *kept*."""
        self.sub_actions = {
            name: sub for name, sub in self.sub_actions.items() if name in kept or stays(sub.step, sub.module)
        }
        self.work, self.changing = sorted_work(self.sub_actions), {}
        self.started = {place: start for place, start in self.started.items() if stays(*place)}
        self._give_back([one for one in self.taken.values() if not self._stays_taken(one, stays)])

    def _stays_taken(self, taken: TakenSignal, stays: Callable[[str, str], bool]) -> bool:
        return stays(taken.step, taken.module) or taken.sub_action_id in self.sub_actions

    def _give_back(self, taken: Collection[TakenSignal]) -> None:
        """Let messages be there again for a module that took them and has to run again."""
        if not taken:
            return
        again = sorted([*self.signals.values(), *(one.signal for one in taken)], key=lambda kept: kept.seq)
        self.signals = {signal_id_of(kept): kept for kept in again}
        self.taken = {name: one for name, one in self.taken.items() if name not in self.signals}

    def clear(self) -> None:
        """Forget everything, as a run does that begins again."""
        self.waits, self.sub_actions, self.signals, self.taken = {}, {}, {}, {}
        self.work, self.changing = {}, {}
        self.started, self.responses = {}, {}

    def apply(self, event: RunEvent, place: tuple[str, str], position: Position, module_before: str | None) -> None:
        """Apply *event*, which is about the step and module *place* and has led to *position*."""
        self._record(event, place)
        if event.type is E.MODULE_STARTED or position.module != module_before:
            self.responses = {}
        if event.type in SETTLES and position.module is not None and event.interaction_id is not None:
            self.responses.setdefault(event.interaction_id, EventSummary.of(event))
        self._take(event, place)
        self._wait(event, place, position)

    def _record(self, event: RunEvent, place: tuple[str, str]) -> None:
        if event.type is E.MODULE_STARTED:
            self.started[place] = EventSummary.of(event)
        elif event.type in _OF_SUB_ACTION:
            self._record_sub_action(event, place)
        elif event.type is E.SIGNAL_RECEIVED:
            kept = EventSummary.of(event)
            # A message may be told twice: the first one counts.
            if signal_id_of(kept) not in self.taken:
                self.signals.setdefault(signal_id_of(kept), kept)

    def _record_sub_action(self, event: RunEvent, place: tuple[str, str]) -> None:
        name = event.data.get("sub_action_id")
        if not isinstance(name, str):
            return
        if event.type is E.SUB_ACTION_STARTED:
            # Removed first, so that the dictionary is in the order of the last starts.
            if (before := self.sub_actions.pop(name, None)) is not None:
                self._changing(before.step, before.module).remove(name)
            step, module = place
            sub = SubAction(id=name, step=step, module=module, started=EventSummary.of(event), ended=None)
        elif (begun := self.sub_actions.get(name)) is not None:
            sub = SubAction(
                id=name, step=begun.step, module=begun.module, started=begun.started, ended=EventSummary.of(event)
            )
        else:
            return
        self.sub_actions[name] = sub
        self._changing(sub.step, sub.module).put(sub)

    def _changing(self, step: str, module: str) -> _ChangingWork:
        """Return the work of a module, to be changed; that of the state before stays as it is."""
        place = (step, module)
        if place not in self.changing:
            self.changing[place] = _ChangingWork(self.work.get(place, ModuleWork()))
        return self.changing[place]

    def sorted(self) -> dict[tuple[str, str], ModuleWork]:
        """Return the sub-actions by step and module; of a module without one, nothing."""
        work = self.work | {place: changing.finished() for place, changing in self.changing.items()}
        return {place: one for place, one in work.items() if one.all}

    def _take(self, event: RunEvent, place: tuple[str, str]) -> None:
        by = event.data.get("sub_action_id")
        for name in ids_in(event.data, TAKES):
            signal = self.signals.pop(name, None)
            if signal is not None:
                step, module = place
                sub_action_id = by if isinstance(by, str) else None
                self.taken[name] = TakenSignal(signal=signal, step=step, module=module, sub_action_id=sub_action_id)

    def _wait(self, event: RunEvent, place: tuple[str, str], position: Position) -> None:
        self._leave_out(self._over(event, place))
        if WAITING_ON in event.data or event.type is E.INTERACTION_REQUESTED:
            step, module = event.step or position.step, event.module or position.module
            begun = waits_of(EventSummary.of(event), step, module)
            # Removed first, so that they are in the order in which they began.
            self._leave_out([key for key in begun if key in self.waits])
            self.waits |= begun
        # A run that has ended waits for nothing, and only what is pending can be answered.
        if position.ended is not None:
            self.waits = {}
        asked = [key for key, wait in self.waits.items() if wait.kind is WaitKind.INTERACTION]
        self._leave_out([key for key in asked if self.waits[key].id != position.interaction_id])

    def _leave_out(self, keys: Collection[tuple[str, str]]) -> None:
        for key in keys:
            del self.waits[key]

    def _over(self, event: RunEvent, place: tuple[str, str]) -> list[tuple[str, str]]:
        """Return the waits that *event* ends, but for those of questions: these are pending as the position says."""
        waits = [(key, wait) for key, wait in self.waits.items() if wait.kind is not WaitKind.INTERACTION]
        if event.type in _OF_SUB_ACTION:
            # The most frequent events, and there may be a hundred waits.
            name = event.data.get("sub_action_id")
            return [] if name is None else [key for key, wait in waits if wait.sub_action_id == name]
        return [key for key, wait in waits if self._is_over(wait, event, place)]

    def _is_over(self, wait: Wait, event: RunEvent, place: tuple[str, str]) -> bool:
        over = event.type is E.JUMP_REQUESTED
        if event.type is E.RETRY_REQUESTED:
            # Of what has to run again nothing is in the state any more; what a retry keeps goes on.
            over = wait.sub_action_id not in self.sub_actions
        elif event.type in (E.STEP_STARTED, E.STEP_COMPLETED):
            over = wait.step == event.step
        elif event.type is E.TIMER_FIRED:
            over = wait.kind is WaitKind.TIMER and wait.id == event.data.get("timer_id")
        elif event.type in _OF_MODULE and (wait.step, wait.module) == place:
            # A module that begins again goes on with its open sub-actions; one that ends waits for none of them.
            over = event.type is not E.MODULE_STARTED or wait.sub_action_id is None
        return over
