"""The state of a run: values that the events of a line of history add up to; stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appdb.events import DbEventType
from appdb.models.events import EventSummary, RunEvent
from appdb.models.ongoing import ModuleWork, SubAction, TakenSignal, Wait
from appdb.models.workflow_runs import Position, Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value that has a name in the run's state.

    Args:
        name: Its name.
        step: Where it was given: by a module, or by a sub-action in or after one; with that module it is undone.
        module: The module.
        kept: The event that gave it.
    """

    name: str
    step: str
    module: str
    kept: EventSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """
    The state of a run after the event ``seq`` of a line of history.

    Args:
        seq: The number of the last event; -1 before the first.
        stable_seq: The last event behind which nothing was half done: where a recovery goes on from.
        last_type: The type of the last event.
        position: The step, the module and the interaction that the run is at.
        steps_completed: In the order in which they were completed.
        modules_completed: By step, the names of completed modules in the order in which they were completed first,
            with those that were skipped.
        outputs: By step and module, the last completion of those in ``modules_completed`` that were not skipped,
            oldest first.
        given: What modules and sub-actions have given names in the run's state, oldest first; of one name, the last
            counts, until the module that gave it has to run again.
        pending: The request that the user has not answered.
        error: What stopped the run or its module last, until the run or that module goes on.
        unknown_type: The last type of an event that this release does not know, and so has passed over.
        waiting_on: What the run waits for, in the order in which the waits began; nothing once it has ended.
        sub_actions: By id, the sub-actions of modules that are not undone, in the order of their starts.
        work: The same by step and module, sorted; made of *sub_actions* where it is not given.
        signals: The messages that were received and not taken, oldest first.
        taken: By ``signal_id``, the messages that were taken; those of a module that is undone are ``signals`` again.
        started: By step and module, the last start of modules that are not undone.
        responses: By interaction, how those that the open module has requested since its start were settled, oldest
            first: ``interaction_response`` or ``interaction_expired``.
        created: The event that the line begins with, which says what the run began with.
        went_back: The last event of the line that led back: a retry, or the reason of a branch.
    """

    seq: int = -1
    stable_seq: int = -1
    last_type: DbEventType | None = None
    position: Position = field(default_factory=Position)
    steps_completed: tuple[str, ...] = ()
    modules_completed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: Mapping[tuple[str, str], EventSummary] = field(default_factory=dict)
    given: tuple[Given, ...] = ()
    pending: EventSummary | None = None
    error: EventSummary | None = None
    unknown_type: str | None = None
    waiting_on: tuple[Wait, ...] = ()
    sub_actions: Mapping[str, SubAction] = field(default_factory=dict)
    work: Mapping[tuple[str, str], ModuleWork] = field(default_factory=dict)
    signals: tuple[EventSummary, ...] = ()
    taken: Mapping[str, TakenSignal] = field(default_factory=dict)
    started: Mapping[tuple[str, str], EventSummary] = field(default_factory=dict)
    responses: Mapping[str, EventSummary] = field(default_factory=dict)
    created: EventSummary | None = None
    went_back: EventSummary | None = None

    def __post_init__(self) -> None:
        if self.sub_actions and not self.work:
            object.__setattr__(self, "work", sorted_work(self.sub_actions))

    @property
    def status(self) -> RunStatus:
        """What the run's cached status must be."""
        return self.position.status

    @property
    def module_index(self) -> int:
        """How many modules of the current step are completed, each counted once however often it ran."""
        return len(self.modules_completed.get(self.position.step or "", ()))

    @property
    def state_values(self) -> dict[str, EventSummary]:
        """By name in the run's state, the event that gave the value which counts."""
        return {given.name: given.kept for given in self.given}

    def module_outputs(self) -> dict[str, Any]:
        """Return the outputs by module; of modules with one name in many steps, the last completion."""
        return {module: outputs_of(kept.data) for (_, module), kept in self.outputs.items()}

    def step_outputs(self) -> dict[str, dict[str, Any]]:
        """Return the outputs by step and module."""
        found: dict[str, dict[str, Any]] = {}
        for (step, module), kept in self.outputs.items():
            found.setdefault(step, {})[module] = outputs_of(kept.data)
        return found

    def values(self) -> dict[str, Any]:
        """Return what modules and sub-actions have given to the run's state, by name; the last one wins."""
        return {name: kept.data[STATE_VALUES][name] for name, kept in self.state_values.items()}


def sorted_work(sub_actions: Mapping[str, SubAction]) -> dict[tuple[str, str], ModuleWork]:
    """Return *sub_actions*, which are in the order of their starts, by step and module."""
    found: dict[tuple[str, str], dict[str, SubAction]] = {}
    for name, sub in sub_actions.items():
        found.setdefault((sub.step, sub.module), {})[name] = sub
    return {place: _sorted(subs) for place, subs in found.items()}


def _sorted(subs: Mapping[str, SubAction]) -> ModuleWork:
    failed = sorted((sub.ended.seq, name) for name, sub in subs.items() if sub.ended is not None and sub.failed)
    return ModuleWork(
        all=subs,
        open={name: sub for name, sub in subs.items() if sub.ended is None},
        failed={name: subs[name] for _, name in failed},
    )


STATE_VALUES = "_state_mapped"
"""Where an event's data says which of it has a name in the run's state."""
WAITING_ON = "_waiting_on"
"""Where an event's data lists what the run waits for from then on: ``[{kind, id, label?, until?}]``, with *until* as
text of ISO 8601 with an offset. A module's waits end with it, those of a sub-action with that; see ``Wait``."""
TAKES = "_takes"
"""Where an event's data lists the ``signal_id`` of the messages that it takes from those that the run keeps."""
RESERVED = frozenset({STATE_VALUES, WAITING_ON, TAKES})
"""Names in an event's data that are no outputs."""


def outputs_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs in the data of a completion, without the reserved names."""
    return {name: value for name, value in data.items() if name not in RESERVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run and its state, from one read.

    Args:
        run: The run: its branch, version, status and the number of its next event.
        state: The state after the last of the events that *run* counts, unless that after an earlier one was asked for.
    """

    run: Run
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A question to the user, with the answer, if there is one, or the event by which it expired."""

    request: RunEvent
    response: RunEvent | None
    expired: RunEvent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAttempt:
    """One attempt of a module, and what the user then asked to be done better.

    Args:
        outputs: What it gave; ``None`` when it did not complete.
        feedback: The retry that followed; ``None`` when there was none.
    """

    outputs: Mapping[str, Any] | None
    feedback: Mapping[str, Any] | None
