"""Every hot query is served by its index, among many tasks that it does not want."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appdb import Database, TaskState
from appdb._queries import task_claims as claims
from appdb._queries import tasks as queries
from appdb._queries.clock import NOW
from appdb._queries.paging import NEWEST_FIRST
from appdb._schema.tasks import INDEXES
from appdb.models import LIVE_STATES, TaskFilter
from appsupport.mongo.crowds import insert_crowd

OTHERS = 5_000
LANE = claims.claim_key("default", "echo@1")


@pytest.fixture
async def crowded(database: Database) -> Database:
    """A database with many finished and scheduled tasks, and ten of each kind that queries want."""
    now = await database.server_time()

    def row(number: int, state: str, **more: Any) -> dict[str, Any]:
        base = {"_id": f"tq_{state}_{number:05}", "owner_id": "usr_a" if number < 10 else f"usr_{number % 50}"}
        common = {"queue": "default", "lane": LANE, "priority": number % 3, "queued_at": now, "run_at": now}
        common |= {"created_at": now - timedelta(seconds=number)}
        common |= {"group": claims.fairness_key(LANE, base["owner_id"], []), "limited": False}
        return base | common | {"state": state, "lease": {"expires_at": now}} | more

    far = now.replace(year=now.year + 1)
    rows = [row(n, "completed") for n in range(OTHERS)]
    rows += [row(n, "scheduled", run_at=far) for n in range(OTHERS)]
    rows += [row(n, "processing", lease={"expires_at": far}) for n in range(OTHERS)]
    rows += [row(n, "queued") for n in range(10)]
    await insert_crowd(database, "tasks", rows)
    return database


async def explain(database: Database, match: dict[str, Any], **options: Any) -> dict[str, Any]:
    command = {"find": "tasks", "filter": match, **options}
    answer = await database.raw.command({"explain": command, "verbosity": "executionStats"})
    stats: dict[str, Any] = answer["executionStats"]
    return stats


CASES: dict[str, tuple[Any, dict[str, Any], int]] = {
    "claim": (claims.free([LANE]), {"sort": dict(claims.CLAIM_ORDER), "limit": 5}, 5),
    "claim_many_lanes": (
        claims.free([claims.claim_key("media", "a@1"), LANE]),
        {"sort": dict(claims.CLAIM_ORDER), "limit": 5},
        5,
    ),
    "claim_in_turns": (
        claims.due_of([claims.fairness_key(LANE, f"usr_{number}", []) for number in "a12"]),
        {"sort": dict(claims.CLAIM_ORDER), "limit": 5},
        5,
    ),
    "expired": (queries.expired(), {}, 0),
    "finished": (queries.finished_before(timedelta(days=1)), {"sort": dict(queries.FINISHED_FIRST)}, 0),
    "below": (queries.below(["tq_completed_00001", "tq_completed_00002"], "usr_a"), {}, 0),
    "standing": (queries.standing("tq_queued_00001", "usr_a", "k"), {}, 1),
    "released_keys": (queries.released_keys("usr_a", ["k", "l"]), {}, 0),
    "by_unique_keys": (queries.by_unique_keys("usr_a", ["k", "l"]), {}, 0),
    "lease_expired": (queries.lease_expired(), {}, 0),
    "promotable": (queries.promotable(), {}, 0),
    "page": (queries.page("usr_a", []), {"sort": dict(NEWEST_FIRST), "limit": 20}, 20),
    "everybody's": (
        queries.matching(TaskFilter(owner_id=None), list(TaskState)),
        {"sort": dict(NEWEST_FIRST), "limit": 20},
        20,
    ),
    "page_by_state": (
        queries.page("usr_a", [TaskState.COMPLETED]),
        {"sort": dict(NEWEST_FIRST), "limit": 5},
        5,
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_keys_examined_stay_close_to_results(crowded: Database, name: str) -> None:
    match, options, returned = CASES[name]
    stats = await explain(crowded, match, **options)

    assert stats["nReturned"] == returned
    assert "COLLSCAN" not in str(stats["executionStages"])
    # A multi-interval scan looks one key past the end of each interval.
    assert stats["totalKeysExamined"] <= 2 * returned + 4
    assert stats["totalDocsExamined"] <= 2 * returned


def test_ownership_queries_use_servers_clock() -> None:
    assert NOW in str(queries.lease_expired())
    assert NOW in str(queries.promotable())


@pytest.fixture
async def labelled(database: Database) -> Database:
    """A database with many tasks of runs, on three branches of five steps with ten modules each."""
    now = await database.server_time()
    rows = [
        {
            "_id": f"tq_{number:05}",
            "owner_id": "usr_a",
            "queue": "default",
            "actor": "echo",
            "state": "queued" if number % 100 < 2 else "completed",
            "created_at": now - timedelta(seconds=number),
            "run_id": f"wf_{number % 2}",
            "branch_id": f"br_{number % 3}",
            "step": f"step_{number % 5}",
            "module": f"module_{number % 50}",
            "sub_action_id": f"action_{number}",
            **({"interaction_id": f"interaction_{number}"} if number % 10 == 0 else {}),
        }
        for number in range(LABELLED_TASKS)
    ]
    await insert_crowd(database, "tasks", rows)
    return database


LABELLED_TASKS = 3_000
LABELLED: dict[str, dict[str, Any]] = {
    "branch": {"branch_id": "br_0"},
    "step": {"step": "step_0"},
    "module": {"module": "module_0"},
    "module on a branch": {"branch_id": "br_0", "module": "module_0"},
    "sub-action": {"branch_id": "br_0", "step": "step_0", "module": "module_0", "sub_action_id": "action_300"},
    "interaction": {"interaction_id": "interaction_300"},
}


def _of_run(name: str, states: Collection[TaskState]) -> dict[str, Any]:
    return queries.matching(replace(TaskFilter(owner_id="usr_a", run_id="wf_0"), **LABELLED[name]), states)


async def test_labels_let_no_other_task_be_read(labelled: Database) -> None:
    for name in LABELLED:
        match = _of_run(name, list(TaskState))
        stats = await explain(labelled, match, sort=dict(NEWEST_FIRST))

        assert stats["nReturned"] == await labelled.collection("tasks").count_documents(match) > 0
        assert stats["totalDocsExamined"] == stats["nReturned"], name
        # What a filter leaves open is skipped over, so no key of another run is read.
        assert stats["totalKeysExamined"] <= LABELLED_TASKS // 2 + 1


async def test_live_tasks_are_found_among_many_ended(labelled: Database) -> None:
    for name in LABELLED:
        stats = await explain(labelled, _of_run(name, LIVE_STATES), sort={"_id": 1})

        assert stats["totalDocsExamined"] <= LABELLED_TASKS // 100, name


def test_changes_of_state_leave_index_of_labels_alone() -> None:
    (keys,) = [index.keys for index in INDEXES if index.name == "tasks_labels"]

    assert not {name for name, _ in keys} & {"state", "updated_at", "lease", "finished_at", "run_at"}
