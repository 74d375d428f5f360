"""Runs for tests: the repositories side by side, events by a word each, and what makes a state lawful."""

from __future__ import annotations

from typing import Any

from appdb import (
    BranchRepository,
    Database,
    DbEventType,
    EventRepository,
    NewRun,
    NewRunEvent,
    Run,
    RunEvent,
    RunState,
    RunStatus,
    StateRepository,
    TaskQueue,
    WorkflowRepository,
)

E = DbEventType
OWNER = "usr_a"
OTHER = "usr_b"


class Runs:
    """All repositories of runs over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.workflows = WorkflowRepository(database)
        self.events = EventRepository(database)
        self.branches = BranchRepository(database)
        self.states = StateRepository(database)
        self.queue = TaskQueue(database)

    async def begin(self, project: str = "film", **changes: Any) -> Run:
        """Open a run."""
        run, _ = await self.workflows.open(NewRun(project=project, **changes), owner_id=OWNER)
        return run

    async def get(self, run: Run) -> Run:
        """Read a run again."""
        return await self.workflows.get(run.id, owner_id=OWNER)

    async def append(self, run: Run, *events: NewRunEvent) -> list[RunEvent]:
        """Append to the branch that the run is on now."""
        now = await self.get(run)
        return await self.events.append(run.id, events, owner_id=OWNER, branch_id=now.branch_id)

    async def state(self, run: Run) -> RunState:
        """Read a run's state."""
        return await self.states.get(run.id, owner_id=OWNER)

    async def log(self, run: Run) -> list[RunEvent]:
        """Read all events of a run."""
        return await self.events.log(run.id, owner_id=OWNER, limit=100_000)

    async def counting(self, run: Run) -> list[RunEvent]:
        """Read the events of a run that count."""
        return await self.events.read(run.id, owner_id=OWNER, limit=100_000)


async def open_run(database: Database, run_id: str, *, owner_id: str = OWNER) -> str:
    """Open a run of that id for what is made for it, and return the id."""
    new = NewRun(project=f"of {run_id}", run_id=run_id)
    await WorkflowRepository(database).open(new, owner_id=owner_id)
    return run_id


def event(kind: DbEventType, step: str | None = None, module: str | None = None, **data: Any) -> NewRunEvent:
    return NewRunEvent(type=kind, step=step, module=module, data=data)


def step_started(step: str) -> NewRunEvent:
    return event(E.STEP_STARTED, step)


def step_completed(step: str) -> NewRunEvent:
    return event(E.STEP_COMPLETED, step)


def started(step: str, module: str) -> NewRunEvent:
    return event(E.MODULE_STARTED, step, module)


def completed(step: str, module: str, mapped: dict[str, Any] | None = None, **outputs: Any) -> NewRunEvent:
    named = {} if mapped is None else {"_state_mapped": mapped}
    return event(E.MODULE_COMPLETED, step, module, **outputs, **named)


def asked(step: str, module: str, interaction_id: str, **data: Any) -> NewRunEvent:
    return event(E.INTERACTION_REQUESTED, step, module, interaction_id=interaction_id, **data)


def answered(interaction_id: str, **data: Any) -> NewRunEvent:
    return event(E.INTERACTION_RESPONSE, interaction_id=interaction_id, **data)


def two_steps() -> list[NewRunEvent]:
    """A completed step of two modules with a question, and a second one that has begun."""
    return [
        step_started("write"),
        started("write", "draft"),
        completed("write", "draft", {"text": "one"}, response="one"),
        started("write", "choose"),
        asked("write", "choose", "select_1", title="Which?"),
        answered("select_1", value=1),
        completed("write", "choose", value=1),
        step_completed("write"),
        step_started("paint"),
        started("paint", "picture"),
    ]


def check_lawful(state: RunState, seqs: set[int]) -> None:
    """Check that *state* contradicts neither itself nor the events *seqs* that count."""
    position = state.position
    assert len(set(state.steps_completed)) == len(state.steps_completed)
    assert position.step not in state.steps_completed
    for names in state.modules_completed.values():
        assert len(set(names)) == len(names) > 0
    assert (state.pending is None) == (position.interaction_id is None)
    if state.pending is not None:
        assert state.pending.data["interaction_id"] == position.interaction_id
        assert state.status is RunStatus.AWAITING_INPUT
    assert -1 <= state.stable_seq <= state.seq == max(seqs)
    done = {(step, module) for step, names in state.modules_completed.items() for module in names}
    assert set(state.outputs) == done, "what is to be seen is what does not have to run again"
    kept = [*state.outputs.values(), *state.mapped.values(), state.pending, state.error]
    assert {entry.seq for entry in kept if entry is not None} <= seqs


def check_cache(run: Run, state: RunState) -> None:
    """Check that what the run's document says is what its events say."""
    assert (run.status, run.position) == (state.status, state.position)
    assert run.open is (not state.status.closed and run.parent_id is None)
    assert (run.completed_at is None) is not run.status.closed
