"""The repositories of runs over one database, as the tests of runs use them."""

from __future__ import annotations

from typing import Any

from appdb import BranchRepository, Database, EventRepository, StateRepository, TaskQueue, WorkflowRepository
from appdb.models import NewRun, NewRunEvent, Run, RunEvent, RunState

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
