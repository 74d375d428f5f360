"""Reads of runs and their events are served by their indexes, among many that they do not want."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appdb import Database, DbEventType, TaskState
from appdb._queries import branches, events, run_lists, run_reads, snapshots
from appdb._queries import tasks as task_queries
from appdb._queries import workflow_runs as runs
from appdb.models import BranchSegment, EventFilter, RunFilter, RunStatus, TaskFilter
from appsupport.mongo.crowds import insert_crowd

E = DbEventType
OTHERS = 20_000
OWNER = "usr_a"
RUN = "wf_long"
LONG_AGO, SOON = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
FUTURE = {"created_at": SOON, "_id": "wf_010000"}
LINEAGE = [
    BranchSegment(branch_id="br_0", first_seq=0, cutoff_seq=3_000),
    BranchSegment(branch_id="br_1", first_seq=5_000, cutoff_seq=6_000),
    BranchSegment(branch_id="br_2", first_seq=8_000, cutoff_seq=9_999),
]


@pytest.fixture
async def crowded(database: Database) -> Database:
    """One run of 10,000 events on three branches among others' events, runs, branches and snapshots."""
    now = await database.server_time()
    types = [E.MODULE_STARTED, E.MODULE_COMPLETED, E.INTERACTION_REQUESTED, E.INTERACTION_RESPONSE]

    def entry(run_id: str, owner_id: str, seq: int) -> dict[str, Any]:
        branch = 0 if seq < 5_000 else 1 if seq < 8_000 else 2
        kind = types[seq % 4] if seq % 100 else E.STEP_STARTED
        asked = f"f{seq // 4}" if kind in types[2:] else None
        about = {"type": kind.value, "step": f"s{seq % 7}", "module": f"m{seq % 50}", "interaction_id": asked}
        where = {"run_id": run_id, "owner_id": owner_id, "branch_id": f"br_{branch}", "seq": seq}
        return {"_id": f"evt_{run_id}_{seq:06}", "data": {}, "version_id": None, "created_at": now} | about | where

    rows = [entry(RUN, OWNER, seq) for seq in range(10_000)]
    rows += [entry(f"wf_{number}", "usr_b", seq) for number in range(OTHERS // 100) for seq in range(100)]
    await insert_crowd(database, "events", rows)
    statuses = sorted(RunStatus)
    await insert_crowd(
        database,
        "workflow_runs",
        [
            {
                "_id": f"wf_{number:06}",
                "owner_id": OWNER if number % 10 == 0 else f"usr_{number % 97}",
                "project": f"film {number % 400}" if number >= 100 else f"only {number}",
                "status": statuses[number % len(statuses)],
                "open": number < 100,
                "listed": number % 5 == 0,
                "created_at": now - timedelta(minutes=OTHERS - number),
                "updated_at": now - timedelta(minutes=OTHERS - number),
                "template_id": f"tpl_{number % 300}",
                "parent_id": f"wf_{number // 10:06}" if number % 5 else None,
            }
            | ({"deleting": True} if number % 4_000 == 1 else {})
            | ({"cancelling": True} if number % 4_000 == 7 else {})
            | ({"deleting": True, "deleted_at": now} if number % 20 == 2 else {})
            for number in range(OTHERS)
        ],
    )
    lineage = [part.model_dump() for part in LINEAGE]
    await insert_crowd(
        database,
        "branches",
        [
            {"_id": f"br_x{number:06}", "run_id": RUN if number % 100 == 0 else f"wf_{number}", "owner_id": OWNER}
            | {"created_at": now}
            | ({"deleting": True} if number % 5_000 == 0 else {})
            | {"lineage": lineage if number == 100 else [{"branch_id": f"br_x{number:06}"}]}
            for number in range(OTHERS)
        ],
    )
    await insert_crowd(
        database,
        "snapshots",
        [
            {"run_id": run_id, "owner_id": OWNER, "branch_id": f"br_{number % 3}", "fold_version": version}
            | {"seq": number, "created_at": now}
            for run_id in (RUN, "wf_1", "wf_2")
            for version in (0, 1)
            for number in range(3_000)
        ],
    )
    await insert_crowd(
        database,
        "tasks",
        [
            {"_id": f"tq_{number:06}", "owner_id": OWNER, "run_id": f"wf_{number % 500}"}
            | {"state": "queued" if number % 2 else "completed"}
            for number in range(OTHERS)
        ],
    )
    return database


UP, DOWN = {"seq": 1}, {"seq": -1}
BY_ID = {"_id": 1}
NEWEST = {"created_at": -1, "_id": -1}
LATEST, LONGEST = {"updated_at": -1, "_id": -1}, {"updated_at": 1, "_id": 1}
LATEST_FIRST, LONGEST_FIRST = run_lists.LATEST_FIRST, run_lists.LONGEST_UNCHANGED_FIRST
PLACE, PAST = (SOON, "wf_010000"), (LONG_AGO, "wf_010000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A read of a collection, as a method of a repository sends it."""

    collection: str
    match: dict[str, Any]
    sort: dict[str, int] = field(default_factory=dict)
    limit: int = 0

    @property
    def most_keys_beside_found(self) -> int:
        """Index keys that it may look at beside twice the documents that it finds."""
        # A merge of many ranges looks at the first key of each, and one past the end.
        ranges = str(self.match).count("branch_id") + 2 if "$or" in self.match else 2
        # A list of all statuses is a merge, too.
        ranges += sum(f"'{status}'" in str(self.match) for status in RunStatus)
        return 2 * ranges

    async def problem(self, database: Database) -> str | None:
        """Return what is wrong with the server's plan for it, if anything."""
        command = {"find": self.collection, "filter": self.match, "sort": self.sort, "limit": self.limit}
        answer = await database.raw.command({"explain": command, "verbosity": "executionStats"})
        plan, stats = str(answer["queryPlanner"]["winningPlan"]), answer["executionStats"]
        found, keys = stats["nReturned"], stats["totalKeysExamined"]
        if not found:
            return "finds nothing"
        if "COLLSCAN" in plan or "'SORT'" in plan:
            return f"scans or sorts: {plan}"
        if keys > 2 * found + self.most_keys_beside_found:
            return f"looks at {keys} keys for {found} documents: {plan}"
        return None


def on_lineage(limit: int, sort: dict[str, int], **wanted: Any) -> Read:
    match = events.on_lineage(RUN, OWNER, LINEAGE, EventFilter(**wanted))
    assert match is not None
    return Read(collection="events", match=match, sort=sort, limit=limit)


def of_events(match: dict[str, Any], sort: dict[str, int] | None = None, limit: int = 0) -> Read:
    return Read(collection="events", match=match, sort=sort or {}, limit=limit)


def of_runs(match: dict[str, Any], sort: dict[str, int] | None = None, limit: int = 0) -> Read:
    return Read(collection="workflow_runs", match=match, sort=sort or {}, limit=limit)


ENDED = [RunStatus.ERROR, RunStatus.COMPLETED, RunStatus.CREATED]
WAITING = [TaskState.QUEUED, TaskState.SCHEDULED]
ASKED, ANSWER = E.INTERACTION_REQUESTED, E.INTERACTION_RESPONSE
READS: dict[str, Read] = {
    "lineage": on_lineage(500, UP),
    "lineage_after": on_lineage(200, UP, after=5_900),
    "lineage_newest": on_lineage(1, DOWN),
    "lineage_before": on_lineage(1, DOWN, before=5_500, without=[E.JUMP_REQUESTED]),
    "by_type": on_lineage(50, UP, types=[E.STEP_STARTED]),
    "by_types": on_lineage(50, DOWN, types=[E.STEP_STARTED, ASKED]),
    "by_module": on_lineage(50, UP, module="m7"),
    "latest_of_type": on_lineage(1, DOWN, types=[E.MODULE_COMPLETED]),
    "latest_of_module": on_lineage(1, DOWN, types=[E.MODULE_COMPLETED], module="m1"),
    "log": of_events(events.log(RUN, OWNER, 9_000), UP, 500),
    "numbered": of_events(events.numbered(RUN, OWNER, 77)),
    "by_ids": of_events(events.by_ids(RUN, OWNER, [f"evt_{RUN}_000001", f"evt_{RUN}_000002"])),
    "interaction": of_events(events.of_interactions(RUN, OWNER, ["f10"], [ASKED]), DOWN, 1),
    "answers": of_events(events.of_interactions(RUN, OWNER, ["f10", "f11"], [ANSWER])),
    "events_of_branch": of_events(events.of_branch(RUN, "br_1"), limit=100),
    "open": of_runs(runs.open_of(OWNER, "only 10")),
    "page": of_runs(run_lists.page(OWNER, [], None, None, None), NEWEST, 50),
    "page_after": of_runs(run_lists.page(OWNER, [], None, None, FUTURE), NEWEST, 50),
    "page_by_status": of_runs(run_lists.page(OWNER, ENDED, None, None, None), NEWEST, 20),
    "page_by_project": of_runs(run_lists.page(OWNER, [], "film 100", None, None), NEWEST, 50),
    "page_by_template": of_runs(run_lists.page(OWNER, [], None, "tpl_100", None), NEWEST, 50),
    "by_activity": of_runs(run_lists.by_activity(OWNER, []), LATEST, 50),
    "by_activity_after": of_runs(run_lists.behind(run_lists.by_activity(OWNER, []), PLACE, LATEST_FIRST), LATEST, 50),
    "active_of_status": of_runs(run_lists.by_activity(OWNER, ENDED), LATEST, 20),
    "asking": of_runs(run_lists.asking(OWNER, None), LONGEST, 20),
    "asking_after": of_runs(run_lists.behind(run_lists.asking(OWNER, None), PAST, LONGEST_FIRST), LONGEST, 20),
    "of_everybody": of_runs(run_lists.of_everybody(RunFilter(owner_id=None)), LATEST, 50),
    "of_everybody_lately": of_runs(
        run_lists.of_everybody(RunFilter(owner_id=None, updated_after=LONG_AGO, statuses=frozenset(ENDED))), LATEST, 50
    ),
    "of_one_for_operators": of_runs(run_lists.of_everybody(RunFilter(owner_id=OWNER)), LATEST, 50),
    "cancelling": of_runs(runs.cancelling(timedelta(0)), limit=100),
    "stoppable_children": of_runs(run_lists.stoppable_children("wf_000100"), BY_ID),
    "children": of_runs(runs.children("wf_000100"), BY_ID, 50),
    "deleting": of_runs(runs.deleting(LONG_AGO), {"deleted_at": 1, "_id": 1}, 100),
    "there": of_runs(runs.there(["wf_000100", "wf_000103"])),
    "deleting_branches": Read(collection="branches", match=branches.deleting(), limit=100),
    "branches": Read(collection="branches", match=branches.page(RUN, OWNER, None), sort=NEWEST, limit=50),
    "built_on": Read(collection="branches", match=branches.built_on(RUN, "br_1")),
    "snapshots_of_branch": Read(collection="snapshots", match=snapshots.of_fold(RUN, "br_1", 1), sort=UP),
    "snapshots_at": Read(collection="snapshots", match=snapshots.of_fold(RUN, "br_1", 1) | snapshots.at([1, 4, 7])),
    "tasks_of_run": Read(
        collection="tasks",
        match=task_queries.matching(TaskFilter(owner_id=OWNER, run_id="wf_7"), WAITING),
        sort=BY_ID,
        limit=100,
    ),
}


async def test_keys_examined_are_at_most_twice_results(crowded: Database) -> None:
    problems = {name: await read.problem(crowded) for name, read in READS.items()}

    assert {name: problem for name, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    ("branch_id", "seq", "newest"), [(None, None, 2_999), (None, 2_000, 2_000), ("br_1", 6, 4), ("br_new", 3_000, 498)]
)
async def test_run_and_snapshot_are_found_by_indexes(
    crowded: Database, branch_id: str | None, seq: int | None, newest: int
) -> None:
    own = {"branch_id": "br_1", "first_seq": 0, "cutoff_seq": None}
    line = [{"branch_id": "br_0", "first_seq": 0, "cutoff_seq": 500}, {**own, "branch_id": "br_2"}]
    new = [line[0], {"branch_id": "br_new", "first_seq": 501, "cutoff_seq": None}]
    for branch, lineage in (("br_1", [own]), ("br_2", line), ("br_new", new)):
        row = {"_id": branch, "run_id": RUN, "owner_id": OWNER, "lineage": lineage}
        await crowded.collection("branches").insert_one(row)
    run = {"_id": RUN, "owner_id": OWNER, "branch_id": "br_2", "event_count": 10_000}
    await crowded.collection("workflow_runs").insert_one(run)
    end = run_reads.LineEnd(run_id=RUN, owner_id=OWNER, branch_id=branch_id, seq=seq)
    pipeline = run_reads.run_on_line(end, fold_version=1, page=50, anywhere=branch_id == "br_new")
    found, *others = [row async for row in crowded.collection("workflow_runs").aggregate(pipeline)]
    # Of a lookup that is unwound at once the server tells nothing.
    told = [stage for stage in pipeline if "$unwind" not in stage]
    command = {"explain": {"aggregate": "workflow_runs", "pipeline": told, "cursor": {}}}
    answer = await crowded.raw.command({**command, "verbosity": "executionStats"})
    looked = [stage for stage in answer["stages"] if "$lookup" in stage]

    assert found["head"]["snapshot"]["seq"] == newest
    numbers = [row["event"]["seq"] for row in [found, *others] if "event" in row]
    last = 9_999 if seq is None else seq
    assert sorted(numbers) == list(range(newest + 1, min(newest + 50, last) + 1))
    used = [["_id_"], ["snapshots_branch"], ["events_log"]]
    assert [stage["indexesUsed"] for stage in looked] == used
    assert [stage["collectionScans"] for stage in looked] == [0, 0, 0]
    # Of other branches only the index is looked at, to choose one.
    near = 0 if branch_id == "br_new" else 1
    assert [stage["totalDocsExamined"] for stage in looked] == [1, near, len(numbers)], looked
