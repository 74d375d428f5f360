"""A world around the engine's core: a log, tasks, timers and child runs in memory, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb import NewTask, check_events, fold_events
from appdb.models import NewRunEvent, Position, Run, RunEvent, RunState, RunStatus
from appserver.engine.core.advance import advance
from appserver.engine.core.causes import Act, Answered, Cause, Fired, Look
from appserver.engine.core.children import definition_of
from appserver.engine.core.decision import Decision, Fork, Needed, PastAnswer, PastOutputs, PastTries
from appserver.engine.core.picture import End, Picture
from appserver.engine.core.plan import GoingBackPlan
from appserver.engine.core.planning import plan
from appserver.engine.core.ways_back import Move, WayBack
from appserver.engine.definition.model import Definition
from appserver.engine.definition.parsing import stored_definition
from appserver.modules.registry import ModuleRegistry

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
TIMER = "engine.timer"


def definition_with(*modules: Mapping[str, Any], **more: Any) -> Definition:
    """Return a definition with one step of *modules*."""
    raw = {"name": "trial", "steps": [{"id": "only", "modules": list(modules)}], **more}
    return stored_definition(raw)


@dataclass
class CoreWorld:
    """One run, as its core sees it.

    Args:
        definition: What it follows.
        registry: The modules of its host.
        input: What it begins with.
        run_id: Its id.
        created: The data of its first event, in place of *input*.
        allow: Types that the host may run although requests may not.
        crashing: Whether each decision is also cut behind each of its events.
    """

    definition: Definition
    registry: ModuleRegistry
    input: Mapping[str, JsonValue] = field(default_factory=dict)
    run_id: str = "wf_trial"
    created: Mapping[str, JsonValue] | None = None
    allow: frozenset[str] = frozenset()
    now: datetime = BEGINNING
    branch_id: str = "br_first"
    log: list[RunEvent] = field(default_factory=list)
    line: list[RunEvent] = field(default_factory=list)
    tasks: dict[str, NewTask] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    children: dict[str, CoreWorld] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    writes: list[Any] = field(default_factory=list)
    files: dict[str, JsonValue] = field(default_factory=dict)
    enqueued: list[str] = field(default_factory=list)
    lines: dict[str, list[RunEvent]] = field(default_factory=dict)
    begun: bool = False
    decided: int = 0
    crashing: bool = True

    def __post_init__(self) -> None:
        if self.begun:
            return
        data: Mapping[str, JsonValue] = {"input": dict(self.input), "definition": "ver_1"}
        if self.created is not None:
            data = dict(self.created)
        self.append([NewRunEvent(type=E.WORKFLOW_CREATED, data=data)])

    @property
    def state(self) -> RunState:
        """The state of the current line."""
        return fold_events(self.line)

    @staticmethod
    def state_after(events: Iterable[RunEvent]) -> RunState:
        """Return the state that *events* add up to."""
        return fold_events(events)

    @property
    def status(self) -> RunStatus:
        """The run's status."""
        return self.state.status

    @property
    def output(self) -> Any:
        """What the run gave."""
        assert self.line[-1].type is E.WORKFLOW_COMPLETED, self.line[-1]
        return self.line[-1].data["output"]

    @property
    def types(self) -> list[str]:
        """The types of the line's events."""
        return [event.type.value for event in self.line]

    @property
    def open_tasks(self) -> dict[str, NewTask]:
        """The workers' tasks that have not ended, in their order."""
        return {name: task for name, task in self.tasks.items() if not task.actor.startswith("engine.")}

    @property
    def open_timers(self) -> dict[str, NewTask]:
        """The timers that have not fired."""
        return {name: task for name, task in self.tasks.items() if task.actor == TIMER}

    def picture(self, loaded: Mapping[str, JsonValue] | None = None) -> Picture:
        """Return the picture of now."""
        state = self.state
        run = Run(
            _id=self.run_id,
            owner_id="usr_ada",
            project="trial",
            version_id="ver_1",
            branch_id=self.branch_id,
            status=state.status,
            open=True,
            position=state.position if self.line else Position(),
            event_count=len(self.log),
            created_at=BEGINNING,
            updated_at=self.now,
        )
        return Picture(
            run=run,
            state=state,
            definition=self.definition,
            version_id="ver_1",
            now=self.now,
            next_seq=len(self.log),
            registry=self.registry,
            ends={wait.id: self.ends[wait.id] for wait in state.waiting_on if wait.id in self.ends},
            loaded=loaded or {},
        )

    def decide(self, cause: Cause) -> Decision:
        """Return what follows, with all that is needed loaded."""
        loaded: dict[str, JsonValue] = {}
        while True:
            decision = advance(self.picture(loaded), cause, allow=self.allow)
            if not decision.needs:
                return decision
            assert all(needed.key not in loaded for needed in decision.needs)
            loaded |= {needed.key: self.load(needed) for needed in decision.needs}

    def load(self, needed: Needed) -> JsonValue:
        """Return stored data."""
        match needed.request:
            case PastTries():
                return self._tries(needed.module)
            case PastOutputs(seq=seq):
                hidden = ("_state_mapped", "reused_from")
                return {name: value for name, value in self.log[seq].data.items() if name not in hidden}
            case PastAnswer(interaction_id=asked):
                settled = [event for event in self.log if event.interaction_id == asked]
                if settled[-1:] and settled[-1].type is not E.INTERACTION_REQUESTED:
                    last = settled[-1]
                    return {**last.data, "type": last.type.value, "at": last.created_at.isoformat()}
                return None
            case _:
                return self.files.get(needed.request.key)

    def _tries(self, module: str) -> JsonValue:
        found: list[dict[str, JsonValue]] = []
        for event in self.line:
            if event.module == module and event.type is E.MODULE_COMPLETED:
                found.append({"outputs": dict(event.data), "feedback": None})
            elif event.module == module and event.type is E.RETRY_REQUESTED:
                if not found or found[-1]["feedback"] is not None:
                    found.append({"outputs": None, "feedback": None})
                found[-1]["feedback"] = event.data.get("feedback", {})
        return list(found)

    def cause(self, cause: Cause) -> list[RunEvent]:
        """Let something happen to the run, and return the events that follow."""
        first, decision = len(self.log), self.decide(cause)
        self.apply_checked(decision, cause)
        while decision.cut or decision.fork is not None:
            decision = self.decide(Look())
            self.apply_checked(decision, Look())
        return self.log[first:]

    def apply_checked(self, decision: Decision, cause: Cause) -> None:
        """Do what a decision says, and see that it does not depend on how much of it was done before a crash."""
        assert self.decide(cause) == decision, "the same picture gives the same decision"
        if self.crashing and not isinstance(cause, Act):
            for done in range(1, len(decision.events)):
                self._check_rest(decision, done)
        self.apply(decision)

    def _check_rest(self, decision: Decision, done: int) -> None:
        """See that a look at the log, cut behind *done* events, decides the rest of them and nothing else."""
        cut = replace(self, log=list(self.log), line=list(self.line), begun=True)
        cut.append(decision.events[:done])
        rest = cut.decide(Look())
        left = decision.events[done:]
        if decision.cut:
            # It may go on further than the decision did.
            assert rest.events[: len(left)] == left
            return
        assert rest.events == left
        known = {task.task_id: task for task in decision.tasks}
        assert all(known[task.task_id] == task for task in rest.tasks)
        assert all(child in decision.children for child in rest.children)
        assert (rest.fork, rest.missing) == (decision.fork, decision.missing)

    def look(self) -> list[RunEvent]:
        """Let the run go on with whatever can."""
        return self.cause(Look())

    def answer(self, response: JsonValue, by: str = "usr_ada") -> list[RunEvent]:
        """Answer the open question."""
        pending = self.state.pending
        assert pending is not None, self.types
        return self.cause(Answered(interaction_id=pending.data["interaction_id"], response=response, by=by))

    def finish(self, task_id: str, result: JsonValue = None, error: Mapping[str, JsonValue] | None = None) -> None:
        """End a task."""
        kind = "timer" if self.tasks.pop(task_id).actor == TIMER else "task"
        state = "completed" if error is None else "failed"
        self.ends[task_id] = End(kind=kind, state=state, result=result, error=error)  # type: ignore[arg-type]

    def finish_first(self, result: JsonValue = None, error: Mapping[str, JsonValue] | None = None) -> list[RunEvent]:
        """End the first open task, and let the run look at it."""
        self.finish(next(iter(self.open_tasks)), result, error)
        return self.look()

    def fire_first(self) -> list[RunEvent]:
        """Let the time pass until the first timer fires."""
        timer_id = min(self.open_timers, key=lambda name: self.open_timers[name].delay)
        self.now += self.tasks.pop(timer_id).delay
        self.ends[timer_id] = End(kind="timer", state="completed")
        return self.cause(Fired(timer_id=timer_id))

    def pass_time(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += timedelta(seconds=seconds)

    def apply(self, decision: Decision) -> None:
        """Do what a decision says, as the runner does it in one transaction."""
        self.decided += 1
        if decision.events:
            check_events(decision.events, self.state)
            self.append(decision.events)
        for task in decision.tasks:
            assert task.task_id is not None
            self.enqueued.append(task.task_id)
            self.tasks.setdefault(task.task_id, task)
        for child in decision.children:
            definition = definition_of(self.definition, child.data)
            self.children[child.run_id] = CoreWorld(
                definition, self.registry, run_id=child.run_id, created=child.data, allow=self.allow, now=self.now
            )
        for chosen in decision.cancels:
            for task_id in chosen.task_ids or ():
                if self.tasks.pop(task_id, None) is not None:
                    self.ends[task_id] = End(kind="task", state="cancelled")
                self.cancelled.append(task_id)
        self.cancelled += decision.cancel_children
        self.writes += decision.writes
        if decision.fork is not None:
            self._fork(decision.fork)

    def _fork(self, fork: Fork) -> None:
        self.lines[self.branch_id] = self.line
        if fork.seq is None:
            self.line = []
        else:
            seq = fork.seq
            line = next(line for line in self.lines.values() if any(event.seq == seq for event in line))
            self.line = [event for event in line if event.seq <= seq]
        self.branch_id = fork.branch_id
        self.append([fork.event])

    def plan(self, way: WayBack) -> GoingBackPlan:
        """Return what a way back would do."""
        return plan(self.picture(), way)

    def go_back(self, way: WayBack) -> GoingBackPlan:
        """Go back, and let the run go on."""
        planned = self.plan(way)
        assert self.plan(way) == planned, "the dry run is what is done"
        if planned.version_id is not None:
            assert isinstance(way, Move)
            self.definition = way.definition
        self.apply(planned.decision)
        self.look()
        return planned

    def run_children(self) -> list[RunEvent]:
        """Let each child run go on as far as it can, and the run look at their ends."""
        for run_id, child in self.children.items():
            if child.status in (RunStatus.CREATED, RunStatus.PROCESSING):
                child.look()
            if child.status is RunStatus.COMPLETED:
                self.ends[run_id] = End(kind="child", state="completed", result=child.output)
            elif child.status is RunStatus.ERROR:
                self.ends[run_id] = End(kind="child", state="failed", error=child.line[-1].data["error"])
        return self.look()

    def append(self, events: Iterable[NewRunEvent]) -> None:
        """Append events to the log."""
        for new in events:
            asked = new.data.get("interaction_id")
            event = RunEvent(
                _id=new.event_id,
                run_id=self.run_id,
                owner_id="usr_ada",
                branch_id=self.branch_id,
                seq=len(self.log),
                type=new.type,
                step=new.step,
                module=new.module,
                interaction_id=asked if isinstance(asked, str) else None,
                version_id="ver_1",
                data=dict(new.data),
                created_at=self.now,
            )
            self.log.append(event)
            self.line.append(event)
