"""Going back: the state of a run of 100,000 events and 500 forks, over that of one of 1,000 events and none.

Same work: the state after an event, of which the same run's snapshots are there. Both are asked in turns, and so is the
state of the newest event, which is what every advance reads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from statistics import median

from appbench.rows import Row
from appbench.stage import OWNER, Stage
from appdb import BranchRepository, Database, DbEventType, EventRepository, StateRepository, WorkflowRepository
from appdb.models import NewRun, NewRunEvent

E = DbEventType
SHORT, BATCH, FORKS, UNDONE = 1_000, 500, 499, 3
TURN = ((E.MODULE_STARTED, "a"), (E.MODULE_COMPLETED, "a"), (E.MODULE_STARTED, "b"), (E.MODULE_COMPLETED, "b"))


async def measure(stage: Stage) -> list[Row]:
    """Read states of both runs in turns."""
    async with stage.database() as database:
        states = StateRepository(database)
        count = stage.size(100_000, 20_000)
        long, line = await _run(database, "long", count, FORKS)
        short, whole = await _run(database, "short", SHORT, 0)
        some = random.Random(1)
        await states.read(long, owner_id=OWNER)
        await states.read(short, owner_id=OWNER)
        reads: dict[str, Callable[[], Awaitable[object]]] = {
            "newest": lambda: states.read(long, owner_id=OWNER),
            "any": lambda: states.at(long, some.choice(line), owner_id=OWNER),
            "short newest": lambda: states.read(short, owner_id=OWNER),
            "short any": lambda: states.at(short, some.choice(whole), owner_id=OWNER),
        }
        turns = [{name: await _milliseconds(read) for name, read in reads.items()} for _ in range(stage.size(100, 30))]
    found = {name: median(turn[name] for turn in turns) for name in reads}
    return [_row(found, "newest"), _row(found, "any")]


def _row(found: dict[str, float], name: str) -> Row:
    floor = found[f"short {name}"]
    return Row(id=f"state, {name} event, forks", value=found[name], unit="ms", bound="<=", floor=floor, target=2.0)


async def _milliseconds(read: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await read()
    return (time.perf_counter() - began) * 1_000


async def _run(database: Database, project: str, count: int, forks: int) -> tuple[str, list[int]]:
    """Make a run of *count* events with *forks* forks among them, and return its id and the events that count."""
    runs, events, branches = WorkflowRepository(database), EventRepository(database), BranchRepository(database)
    run, _ = await runs.open(NewRun(project=project), owner_id=OWNER)
    branch_id, line = run.branch_id, [0]
    every = count // (forks + 1)
    for number in range(forks + 1):
        for first in range(0, every, BATCH):
            new = [_event(first + offset) for offset in range(min(BATCH, every - first))]
            line += [event.seq for event in await events.append(run.id, new, owner_id=OWNER, branch_id=branch_id)]
        if number < forks:
            del line[-UNDONE:]
            event = NewRunEvent(type=E.WORKFLOW_RESUMED, data={"n": number})
            branch = await branches.fork(run.id, line[-1], event, owner_id=OWNER, branch_id=branch_id)
            branch_id = branch.id
    return run.id, line


def _event(number: int) -> NewRunEvent:
    kind, module = TURN[number % len(TURN)]
    return NewRunEvent(type=kind, step="loop", module=module, data={"n": number})
