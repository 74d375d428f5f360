"""Every hot query is served by its index, among many tasks that it does not want."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from appdb import Database, TaskState
from appdb._queries import task_claims as claims
from appdb._queries import tasks as queries
from appdb._queries.clock import NOW
from appdb._queries.paging import NEWEST_FIRST
from appdb.models import TaskFilter

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
    await database.collection("tasks").insert_many(rows, ordered=False)
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
