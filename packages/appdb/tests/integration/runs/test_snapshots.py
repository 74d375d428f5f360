"""Snapshots of long runs: few, and near every state."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from appdb import Database, DbEventType
from appdb.models import Run
from appdb.runs.size_limits import MAX_SNAPSHOTS, SNAPSHOT_EVERY
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
LONG, SHORT = 100_000, 1_000
BATCH = 5_000
READS = 15
TURN = [(E.MODULE_STARTED, "a"), (E.MODULE_COMPLETED, "a"), (E.MODULE_STARTED, "b"), (E.MODULE_COMPLETED, "b")]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def stored_run(runs: Runs, project: str, count: int) -> Run:
    """Return a run of *count* events more than its first, which are written past the repositories, for speed."""
    run = await runs.begin(project)
    common = {"run_id": run.id, "owner_id": OWNER, "branch_id": run.branch_id, "step": "loop", "interaction_id": None}
    for first in range(1, count + 1, BATCH):
        rows = [
            {**common, "_id": f"evt_{project}_{seq:06}", "seq": seq, "data": {"n": seq}, "created_at": run.created_at}
            | {"type": TURN[seq % 4][0].value, "module": TURN[seq % 4][1], "version_id": None}
            for seq in range(first, min(first + BATCH, count + 1))
        ]
        await runs.database.collection("events").insert_many(rows, ordered=False)
    counted = {"$set": {"event_count": count + 1}}
    await runs.database.collection("workflow_runs").update_one({"_id": run.id}, counted)
    return run


async def snapshots_of(runs: Runs, run: Run) -> list[int]:
    found = runs.database.collection("snapshots").find({"run_id": run.id}).sort("seq")
    return [row["seq"] async for row in found]


async def seconds(read: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await read()
    return time.perf_counter() - began


@pytest.mark.timeout(900)
async def test_any_state_of_100_000_events_is_near_a_snapshot(runs: Runs) -> None:
    long, short = await stored_run(runs, "long", LONG), await stored_run(runs, "short", SHORT)
    await runs.state(long)
    seqs = await snapshots_of(runs, long)

    assert len(seqs) <= MAX_SNAPSHOTS
    assert max(later - earlier for earlier, later in pairwise([0, *seqs, LONG])) <= SHORT

    async def whole() -> None:
        await runs.database.collection("snapshots").delete_many({"run_id": short.id})
        await runs.state(short)

    some = random.Random(1)
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "any": lambda: runs.states.at(long.id, some.randrange(LONG), owner_id=OWNER),
        "last": lambda: runs.state(long),
        "short": whole,
    }
    # In turns, so that a machine that is busy for a while is so for all of them.
    turns = [{name: await seconds(read) for name, read in reads.items()} for _ in range(READS)]
    median = {name: statistics.median(turn[name] for turn in turns) for name in reads}
    assert max(median["any"], median["last"]) <= 2 * median["short"]
    assert len(await snapshots_of(runs, long)) <= MAX_SNAPSHOTS


@pytest.mark.timeout(600)
async def test_snapshots_of_growing_run_stay_few(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("appdb.runs.snapshots.MAX_SNAPSHOTS", "appdb.runs.size_limits.MAX_SNAPSHOTS"):
        monkeypatch.setattr(name, 10)
    run = await stored_run(runs, "growing", 30 * SNAPSHOT_EVERY)
    counts = []
    for seq in range(SNAPSHOT_EVERY, 30 * SNAPSHOT_EVERY, SNAPSHOT_EVERY):
        await runs.states.at(run.id, seq, owner_id=OWNER)
        counts.append(len(await snapshots_of(runs, run)))
    seqs = await snapshots_of(runs, run)

    assert max(counts) == 10
    assert seqs[-3:] == [seq * SNAPSHOT_EVERY for seq in (27, 28, 29)]
    assert max(later - earlier for earlier, later in pairwise([0, *seqs])) <= 8 * SNAPSHOT_EVERY
