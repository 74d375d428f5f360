"""Steps of a generated run, as data: each applies to the model in memory and to a stored run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from appdb import AppDbError, DbEventType, uuid7_str
from appdb.models import NewRunEvent, Run, RunStatus
from appsupport.runs.run_events import answered, asked, completed, event, started, step_completed, step_started
from appsupport.runs.run_model import RunModel
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType


class Step(ABC):
    """One thing that is done to a run."""

    @abstractmethod
    def on_model(self, model: RunModel) -> None:
        """Do it to the model."""

    @abstractmethod
    async def on_store(self, runs: Runs, run: Run) -> None:
        """Do it to a stored run, just read; twice where that must be harmless."""


def possible(step: Step, model: RunModel) -> bool:
    """Do *step* to the model, and return whether it was possible."""
    try:
        step.on_model(model)
    except AppDbError:
        return False
    return True


@dataclass(frozen=True)
class Append(Step):
    """Append events."""

    events: Sequence[NewRunEvent]

    def on_model(self, model: RunModel) -> None:
        model.append(self.events)

    async def on_store(self, runs: Runs, run: Run) -> None:
        # Examples are drawn from the same events, and each append has ids of its own.
        events = [NewRunEvent(type=new.type, step=new.step, module=new.module, data=new.data) for new in self.events]
        for _ in range(2):
            await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id)


@dataclass(frozen=True)
class Fork(Step):
    """Fork behind any event."""

    pick: int
    why: DbEventType

    def on_model(self, model: RunModel) -> None:
        model.fork(self.pick % len(model.log), event(self.why))

    async def on_store(self, runs: Runs, run: Run) -> None:
        why, new = event(self.why), uuid7_str("br_")
        for _ in range(2):
            await runs.branches.fork(
                run.id, self.pick % run.event_count, why, owner_id=OWNER, branch_id=run.branch_id, new_branch_id=new
            )


@dataclass(frozen=True)
class Jump(Step):
    """Jump back."""

    step: str
    module: str | None

    def on_model(self, model: RunModel) -> None:
        model.jump(self.step, self.module)

    async def on_store(self, runs: Runs, run: Run) -> None:
        await runs.states.jump(run.id, self.step, self.module, owner_id=OWNER, branch_id=run.branch_id)


@dataclass(frozen=True)
class Again(Step):
    """Let an old form be pending again."""

    interaction_id: str

    def on_model(self, model: RunModel) -> None:
        model.again(self.interaction_id)

    async def on_store(self, runs: Runs, run: Run) -> None:
        await runs.states.branch_from_interaction(run.id, self.interaction_id, owner_id=OWNER, branch_id=run.branch_id)


@dataclass(frozen=True)
class Switch(Step):
    """Return to any branch."""

    pick: int

    def on_model(self, model: RunModel) -> None:
        model.switch(f"br_{self.pick % len(model.lineages)}")

    async def on_store(self, runs: Runs, run: Run) -> None:
        branches = await runs.branches.page(run.id, owner_id=OWNER, limit=1_000)
        target, new = branches[-1 - self.pick % len(branches)].id, uuid7_str("br_")
        for _ in range(2):
            await runs.branches.switch(run.id, target, owner_id=OWNER, branch_id=run.branch_id, new_branch_id=new)


@dataclass(frozen=True)
class Reset(Step):
    """Begin again."""

    def on_model(self, model: RunModel) -> None:
        model.reset()

    async def on_store(self, runs: Runs, run: Run) -> None:
        await runs.workflows.reset(run.id, owner_id=OWNER, branch_id=run.branch_id)


@dataclass(frozen=True)
class Recover(Step):
    """Recover from a status that a foreign hand wrote."""

    spoiled: RunStatus

    def on_model(self, model: RunModel) -> None:
        if self.spoiled is not model.state.status:
            model.recover()

    async def on_store(self, runs: Runs, run: Run) -> None:
        spoil = {"$set": {"status": self.spoiled, "open": not self.spoiled.closed}}
        await runs.database.collection("workflow_runs").update_one({"_id": run.id}, spoil)
        found = await runs.database.recover_run(run.id, owner_id=OWNER)
        assert found.applied is (self.spoiled is not run.status)


STEPS = st.sampled_from(["a", "b"])
MODULES = st.sampled_from(["m", "n", "o"])
FORMS = st.sampled_from(["f1", "f2"])
VALUES = st.dictionaries(st.sampled_from(["x", "y", "$z", "u.v"]), st.integers(0, 9), max_size=2)
SUBS = st.sampled_from(["m/1", "m/2", "n/1"])
IDS = st.sampled_from(["i1", "i2"])
ENDS = st.sampled_from([E.SUB_ACTION_COMPLETED, E.SUB_ACTION_FAILED])
WAITS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["task", "timer", "child", "signal"]), "id": IDS},
        optional={"label": st.just("soon"), "until": st.just("2030-01-01T00:00:00+00:00")},
    ),
    max_size=3,
)
WORK = st.one_of(
    st.builds(step_started, STEPS),
    st.builds(step_completed, STEPS),
    st.builds(started, STEPS, MODULES),
    st.builds(completed, STEPS, MODULES, VALUES),
    st.builds(completed, STEPS, MODULES),
    st.builds(asked, STEPS, MODULES, FORMS),
    st.builds(answered, FORMS),
    st.builds(lambda form: event(E.INTERACTION_EXPIRED, interaction_id=form), FORMS),
    st.builds(lambda step, module: event(E.MODULE_SKIPPED, step, module), STEPS, MODULES),
)
PLAIN = [
    E.WORKFLOW_RESUMED,
    E.WORKFLOW_COMPLETED,
    E.WORKFLOW_ERROR,
    E.WORKFLOW_CANCELLED,
    E.WORKFLOW_TARGET_REACHED,
    E.WORKFLOW_VALIDATION_FAILED,
    E.SUB_ACTION_STARTED,
    E.OUTPUT_STORED,
]
REST = st.one_of(
    st.sampled_from(PLAIN).map(event),
    st.builds(lambda step, module: event(E.MODULE_ERROR, step, module), STEPS, MODULES),
    st.builds(lambda values: event(E.SUB_ACTION_COMPLETED, _state_mapped=values), VALUES),
    st.builds(lambda sub, waits: event(E.SUB_ACTION_STARTED, sub_action_id=sub, _waiting_on=waits), SUBS, WAITS),
    st.builds(lambda kind, sub: event(kind, sub_action_id=sub), ENDS, SUBS),
    st.builds(lambda module, waits: event(E.MODULE_STARTED, "a", module, _waiting_on=waits), MODULES, WAITS),
    st.builds(lambda timer: event(E.TIMER_FIRED, timer_id=timer), IDS),
    st.builds(lambda signal: event(E.SIGNAL_RECEIVED, name="news", signal_id=signal), IDS),
    st.builds(lambda taken: event(E.OUTPUT_STORED, _takes=taken), st.lists(IDS, max_size=2)),
    st.builds(
        lambda step, module, kept: event(E.RETRY_REQUESTED, step, module, keep_sub_actions=kept),
        STEPS,
        MODULES,
        st.lists(SUBS, max_size=2),
    ),
    st.builds(lambda module: event(E.RETRY_REQUESTED, target_module=module), MODULES),
    st.builds(lambda step, module: event(E.RETRY_REQUESTED, step, module), STEPS, MODULES),
)


@dataclass(frozen=True)
class Module:
    """One module of a workflow that runs from its beginning to its end."""

    name: str
    asks: bool
    values: dict[str, int]
    within: dict[str, int]
    after: dict[str, int]

    def events(self, step: str) -> list[NewRunEvent]:
        """Return what happens while it runs, with a sub-action in it and one after it."""
        form = f"{step}.{self.name}"
        question = [asked(step, self.name, form), answered(form)] if self.asks else []
        name = f"{form}/1"
        begun = event(E.SUB_ACTION_STARTED, step, self.name, sub_action_id=name)
        within = event(E.SUB_ACTION_COMPLETED, step, self.name, sub_action_id=name, _state_mapped=self.within)
        after = event(E.SUB_ACTION_COMPLETED, _state_mapped=self.after)
        return [started(step, self.name), *question, begun, within, completed(step, self.name, self.values), after]


def straight(workflow: Sequence[Sequence[Module]]) -> list[NewRunEvent]:
    """Return the events of a workflow whose steps run one after the other, each module once."""
    log: list[NewRunEvent] = []
    for number, modules in enumerate(workflow):
        step = f"s{number}"
        ran = [happened for module in modules for happened in module.events(step)]
        log += [step_started(step), *ran, step_completed(step)]
    return log


ONE_MODULE = st.builds(Module, MODULES, st.booleans(), VALUES, VALUES, VALUES)
WORKFLOWS = st.lists(st.lists(ONE_MODULE, max_size=3, unique_by=lambda module: module.name), min_size=1, max_size=3)
EVENTS = st.one_of(WORK, WORK, WORK, REST)
WHYS = st.sampled_from([E.WORKFLOW_RESUMED, E.WORKFLOW_RECOVERED, E.OUTPUT_STORED])
ANY_STEP: st.SearchStrategy[Step] = st.one_of(
    st.builds(Append, st.lists(EVENTS, min_size=1, max_size=4)),
    st.builds(Append, st.lists(EVENTS, min_size=1, max_size=1)),
    st.builds(Append, st.lists(WORK, min_size=1, max_size=1)),
    st.builds(Fork, st.integers(0, 1_000), WHYS),
    st.builds(Jump, STEPS, st.none() | MODULES),
    st.builds(Again, FORMS),
    st.builds(Reset),
    st.builds(Switch, st.integers(0, 100)),
    st.builds(Recover, st.sampled_from(RunStatus)),
)
