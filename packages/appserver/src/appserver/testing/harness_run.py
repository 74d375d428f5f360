"""A run of a harness, step by step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from pydantic import JsonValue

from appdb.models import NewRun, RunStatus
from appserver.engine.core.advance import advance
from appserver.engine.core.causes import Act, Answered, Cause, Fired, Look, Signal
from appserver.engine.core.children import definition_of
from appserver.engine.core.decision import Decision
from appserver.engine.core.engine_tasks import MODULE_PREFIX, QUEUE, TIMER
from appserver.engine.core.picture import End, Picture
from appserver.engine.definition.model import Definition
from appserver.errors import RunConflictError
from appserver.modules.registry import ModuleRegistry
from appserver.testing.loaded import Loaded
from appserver.testing.memory_runs import MemoryRun, MemoryRuns, MemoryTask
from appserver.testing.outcome import Outcome, StubbedTask
from appserver.testing.stubs import Stub
from appserver.testing.virtual_clock import VirtualClock

RUN_ID = "wf_harness"
VERSION_ID = "ver_harness"
MOST_TURNS = 10_000
"""A workflow that goes on for ever is stopped here."""


@dataclass(slots=True)
class HarnessScript:
    """The answers of people, and the results of workers."""

    answers: dict[str, list[JsonValue]] = field(default_factory=dict)
    stubs: dict[str, list[Stub]] = field(default_factory=dict)
    files: dict[tuple[str, str], JsonValue] = field(default_factory=dict)
    queries: dict[str, JsonValue] = field(default_factory=dict)
    contents: dict[str, JsonValue] = field(default_factory=dict)

    def copy(self) -> HarnessScript:
        """Return a copy that another run may use up."""
        return copy.deepcopy(self)


class HarnessRun:
    """
    A run without a database; every method goes on to the next wait.

    Args:
        definition: What it follows.
        registry: The modules that it may use.
        script: What people answer and workers give; it is used up.
        given: What the run begins with.
        crash_behind: The number of the commit behind which everything that was delivered is delivered again.
    """

    def __init__(
        self,
        definition: Definition,
        registry: ModuleRegistry,
        script: HarnessScript,
        given: Mapping[str, JsonValue],
        *,
        crash_behind: int | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self._definition = definition
        self._registry = registry
        self._script = script
        self._crash_behind = crash_behind
        self._delivered: list[tuple[str, Cause]] = []
        self._stored = MemoryRuns()
        new = NewRun(
            project="harness",
            version_id=VERSION_ID,
            data={"input": dict(given)},
            run_id=RUN_ID,
            branch_id="br_harness",
            event_id="evt_harness",
        )
        self._stored.open_run(new, self.clock.now)
        self._advance(RUN_ID, Look())

    @property
    def outcome(self) -> Outcome:
        """What has become of the run so far."""
        found = self._stored.runs[RUN_ID]
        state = found.state
        completed = state.status is RunStatus.COMPLETED
        return Outcome(
            status=state.status,
            output=found.log[-1].data.get("output") if completed else None,
            question=None if state.pending is None else state.pending.data,
            error=None if state.error is None else state.error.data.get("error"),
            state=state,
            events=tuple(found.log),
            tasks=tuple(self._stubbed()),
            files=Loaded(self._stored, self._script).files(),
            commits=self._stored.commits,
        )

    def run(self, *, most_turns: int = MOST_TURNS) -> Outcome:
        """Go on by the script until the run has ended, or waits for what the script does not say.

        Args:
            most_turns: Ends of tasks, answers and timers after which it goes on for ever, as far as a test can tell.

        Raises:
            AssertionError: It goes on for ever.
        """
        for _ in range(most_turns):
            if not (self._work() or self._answer_one() or self._wait_for_timer()):
                return self.outcome
        raise AssertionError(f"the workflow goes on for ever: {most_turns} turns, and no end")

    def answer(self, response: JsonValue, *, interaction_id: str | None = None) -> Self:
        """Answer the open question, of a child run too, or the run's own one that is named.

        Raises:
            InvalidAnswerError: It does not fit; the question stays open.
            QuestionClosedError: It is answered or expired.
        """
        run_id, asked = self._open_question() if interaction_id is None else (RUN_ID, interaction_id)
        cause = Answered(interaction_id=asked, response=response, by="harness")
        self._deliver(run_id, cause)
        return self

    def signal(self, name: str, payload: JsonValue = None, *, signal_id: str = "signal") -> Self:
        """Send a message to the run."""
        self._deliver(RUN_ID, Signal(name=name, signal_id=signal_id, payload=payload))
        return self

    def act(self, module: str, action: str, arguments: Mapping[str, JsonValue], *, request_id: str = "act") -> Self:
        """Ask for a sub-action of the module whose question is open."""
        self._deliver(RUN_ID, Act(module=module, action=action, request_id=request_id, arguments=arguments))
        return self

    def advance_by(self, duration: timedelta) -> Self:
        """Let time pass; timers whose time comes meanwhile fire."""
        until = self.clock.now + duration
        while (timer := self._next_timer()) is not None and timer.due <= until:
            self.clock.advance_to(timer.due)
            self._work()
        self.clock.advance_to(until)
        return self

    def cancel(self) -> Self:
        """Cancel the run."""
        self._stored.cancel_run(RUN_ID, self.clock.now)
        return self

    def _work(self) -> bool:
        """Do one thing that is due, and return whether there was one."""
        for task in self._stored.live():
            if task.due > self.clock.now:
                continue
            if task.new.queue == QUEUE:
                self._run_engine_task(task)
                return True
            if self._run_stub(task):
                return True
        return False

    def _run_engine_task(self, task: MemoryTask) -> None:
        run_id = str(task.new.payload["run_id"])
        actor = task.new.actor
        allow: frozenset[str] = frozenset()
        cause: Cause = Look()
        if actor == TIMER:
            cause = Fired(timer_id=task.id)
        elif actor.startswith(MODULE_PREFIX):
            allow = frozenset({f"{actor.removeprefix(MODULE_PREFIX)}@{task.new.actor_version}"})
        self._stored.end_task(task, End(kind="timer", state="completed"), self.clock.now)
        self._deliver(run_id, cause, allow)

    def _run_stub(self, task: MemoryTask) -> bool:
        stubs = self._script.stubs.get(task.new.actor)
        if not stubs:
            return False
        stub = stubs.pop(0) if len(stubs) > 1 else stubs[0]
        end = stub.end(task.new.payload)
        if end is None:
            return False
        self._stored.end_task(task, end, self.clock.now)
        return True

    def _answer_one(self) -> bool:
        for found in self._stored.runs.values():
            pending = found.state.pending
            waiting = None if pending is None else self._script.answers.get(str(pending.module))
            if pending is not None and waiting:
                cause = Answered(interaction_id=pending.data["interaction_id"], response=waiting.pop(0), by="harness")
                self._deliver(found.run.id, cause)
                return True
        return False

    def _next_timer(self) -> MemoryTask | None:
        return next((task for task in self._stored.live() if task.due > self.clock.now), None)

    def _wait_for_timer(self) -> bool:
        timer = self._next_timer()
        if timer is not None:
            self.clock.advance_to(timer.due)
        return timer is not None

    def _open_question(self) -> tuple[str, str]:
        for found in self._stored.runs.values():
            if (pending := found.state.pending) is not None:
                return found.run.id, pending.data["interaction_id"]
        raise AssertionError("no question is open")

    def _deliver(self, run_id: str, cause: Cause, allow: frozenset[str] = frozenset()) -> None:
        self._delivered.append((run_id, cause))
        self._advance(run_id, cause, allow)

    def _advance(self, run_id: str, cause: Cause, allow: frozenset[str] = frozenset()) -> None:
        for _ in range(MOST_TURNS):
            found = self._stored.runs[run_id]
            decision = self._decide(found, cause, allow)
            if decision.nothing:
                return
            self._stored.commit(run_id, found.next_seq, decision, self.clock.now)
            self._perhaps_crash()
            if not (decision.cut or decision.fork):
                return
            cause = Look()
        raise AssertionError("the run goes on for ever")

    def _perhaps_crash(self) -> None:
        if self._stored.commits != self._crash_behind:
            return
        self._crash_behind = None
        for run_id, cause in list(self._delivered):
            try:
                self._advance(run_id, cause)
            except RunConflictError:
                # The question is closed, as somebody who sends an answer again is told.
                continue
        for run_id in list(self._stored.runs):
            self._advance(run_id, Look())

    def _decide(self, found: MemoryRun, cause: Cause, allow: frozenset[str]) -> Decision:
        state = found.state
        picture = Picture(
            run=found.run,
            state=state,
            definition=self._definition_of(found),
            version_id=VERSION_ID,
            now=self.clock.now,
            next_seq=found.next_seq,
            registry=self._registry,
            ends=self._stored.ends_for(state),
        )
        for _ in range(MOST_TURNS):
            decision = advance(picture, cause, allow=allow)
            if not decision.needs:
                return decision
            loaded = Loaded(self._stored, self._script).of(found, decision.needs)
            picture = replace(picture, loaded={**picture.loaded, **loaded})
        raise AssertionError("a module asks for stored data without an end")

    def _definition_of(self, found: MemoryRun) -> Definition:
        return definition_of(self._definition, found.log[0].data)

    def _stubbed(self) -> list[StubbedTask]:
        return [
            StubbedTask(
                id=task.id,
                actor=task.new.actor,
                payload=task.new.payload,
                module=task.new.module,
                state="live" if task.end is None else task.end.state,
            )
            for task in self._stored.tasks.values()
            if task.new.queue != QUEUE
        ]
