"""The draft of a decision: each event that is added is applied to the state, as the log will do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType, NewTask, fold_events
from appdb.models import EventSummary, NewRun, NewRunEvent, RunEvent, RunState, TaskFilter
from appserver.engine.core.as_stored import event_as_stored
from appserver.engine.core.decision import Decision, Fork, ModuleWrite, Needed
from appserver.engine.core.ids import event_id
from appserver.engine.core.inputs import GivenInputs
from appserver.engine.core.picture import Picture
from appserver.engine.core.place import Place
from appserver.engine.core.scope import scope_of
from appserver.engine.core.try_work import TryWork
from appserver.modules.registry import AnyModule

MAX_EVENTS = 500
MAX_BYTES = 512 * 1024
"""Of the events of one decision as JSON: an append takes 4 MiB as BSON, where small values take several times as much.
"""
MAX_CHOSEN = 500
"""Tasks that one filter can name."""
MAX_WORK_BYTES = 256 * 1024
"""Of inputs that one decision fills, so that it takes no thread for more than about 50 ms."""
RESERVE = 16
"""Events that one module's turn may add beside its calls."""
OF_SUB_ACTIONS = frozenset(
    {DbEventType.SUB_ACTION_STARTED, DbEventType.SUB_ACTION_COMPLETED, DbEventType.SUB_ACTION_FAILED}
)
"""Events of the engine that change a single sub-action each, and nothing that paths of the definition lead into."""


class Draft:
    """A decision while it is made.

    Args:
        picture: What it is made from.
        allow: Types of modules that the caller may run although requests may not.
    """

    def __init__(self, picture: Picture, *, allow: frozenset[str] = frozenset()) -> None:
        self.picture = picture
        self.ends = dict(picture.ends)
        self._allow = allow
        self.needs: list[Needed] = []
        self.fork: Fork | None = None
        self.missing: str | None = None
        self.cut = False
        self.given: dict[int, GivenInputs] = {}
        self.work = 0
        self._state = picture.state
        self._scope: dict[str, Any] | None = None
        self._try_work: TryWork | None = None
        self._touched: list[str] = []
        self._unfolded: list[RunEvent] = []
        self._events: list[NewRunEvent] = []
        self._bytes = 0
        self._tasks: dict[str | None, NewTask] = {}
        self._children: list[NewRun] = []
        self._cancels: dict[str, None] = {}
        self._cancelled_children: dict[str, None] = {}
        self._writes: list[ModuleWrite] = []

    @property
    def state(self) -> RunState:
        """The state after the events so far."""
        if self._unfolded:
            self._state = fold_events(self._unfolded, self._state)
            self._unfolded = []
        return self._state

    @property
    def scope(self) -> dict[str, Any]:
        """The values that paths of the definition lead into."""
        if self._scope is None:
            self._scope = scope_of(self.picture.run, self.state)
        return self._scope

    def try_work(self, place: Place, start: EventSummary) -> TryWork:
        """Return the sub-actions of a module's try after the events so far; one pass over the state in a decision."""
        state, known = self.state, self._try_work
        if known is None or known.start_id != start.event_id:
            known = self._try_work = TryWork(state, place, start)
        else:
            known.follow(state, self._touched)
        self._touched = []
        return known

    def module(self, type_: str) -> AnyModule | None:
        """Return the module of a type, or ``None`` where this host lacks it or the caller must not run it."""
        registry = self.picture.registry
        return registry.find(type_) if registry.runs_inline(type_) or type_ in self._allow else None

    @property
    def next_seq(self) -> int:
        """The number of the next event."""
        return self.picture.next_seq + len(self._events)

    @property
    def has_events(self) -> bool:
        """Whether something has been added."""
        return bool(self._events)

    @property
    def has_writes(self) -> bool:
        """Whether something is written beside the log."""
        return bool(self._writes)

    @property
    def is_full(self) -> bool:
        """Whether the rest is for another decision: no room is left, or much was filled, which takes time."""
        return self.room == 0 or (self.work > MAX_WORK_BYTES and bool(self._events))

    @property
    def room(self) -> int:
        """How many calls may still be started in this decision."""
        return 0 if self._bytes > MAX_BYTES else max(0, MAX_EVENTS - RESERVE - len(self._events))

    def add(
        self,
        type_: DbEventType,
        step: str | None = None,
        module: str | None = None,
        data: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Add an event."""
        seq, run = self.next_seq, self.picture.run
        held = dict(data or {})
        if type_ in OF_SUB_ACTIONS:
            self._touched.append(str(held["sub_action_id"]))
        else:
            self._scope = self._try_work = None
        event = NewRunEvent(type=type_, step=step, module=module, data=held, event_id=event_id(run.id, seq))
        self._bytes += len(to_json(held))
        self._events.append(event)
        self._unfolded.append(event_as_stored(event, run, seq, self.picture.now))

    def enqueue(self, task: NewTask) -> None:
        """Add a task, which has an id."""
        self._tasks[task.task_id] = task

    def open_child(self, child: NewRun) -> None:
        """Add a child run."""
        self._children.append(child)

    def cancel_tasks(self, task_ids: Iterable[str]) -> None:
        """Cancel tasks or timers; one that this draft enqueues is left out instead."""
        for task_id in task_ids:
            if self._tasks.pop(task_id, None) is None:
                self._cancels[task_id] = None

    def cancel_child(self, run_id: str) -> None:
        """Cancel a child run."""
        self._cancelled_children[run_id] = None

    def write(self, write: ModuleWrite) -> None:
        """Add something that is written beside the log."""
        self._writes.append(write)

    def finished(self) -> Decision:
        """Return the decision; when it needs something, that alone."""
        if self.needs:
            return Decision(needs=tuple(self.needs))
        owner_id = self.picture.run.owner_id
        return Decision(
            events=tuple(self._events),
            tasks=tuple(self._tasks.values()),
            children=tuple(self._children),
            cancels=tuple(TaskFilter(owner_id=owner_id, task_ids=ids) for ids in batched(self._cancels)),
            cancel_children=tuple(self._cancelled_children),
            writes=tuple(self._writes),
            fork=self.fork,
            missing=self.missing,
            cut=self.cut,
        )


def batched(task_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield *task_ids* in choices of as many as one filter takes."""
    left = iter(task_ids)
    while some := tuple(islice(left, MAX_CHOSEN)):
        yield some
