"""Writes that are locks: each changes its document, also within the millisecond of the one before it."""

from __future__ import annotations

import pytest

from appdb import Database
from appdb._queries import (
    budgets,
    content_generation_metadata,
    tasks,
    users,
    workflow_runs,
    workflow_templates,
)
from appdb._queries.types import Pipeline

LOCKS = {
    "run": ("touched_at", workflow_runs.lock_write()),
    "task": ("touched_at", tasks.touch()),
    "budget": ("touched_at", budgets.touch()),
    "template": ("used_at", workflow_templates.use()),
    "generation": ("pruned_at", content_generation_metadata.prune()),
    "user": ("keys_changed_at", users.stamp("keys_changed_at")),
}


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("held", ["$$NOW", {"$add": ["$$NOW", 1]}, {"$subtract": ["$$NOW", 1]}, "x", None])
async def test_lock_changes_its_document_in_the_same_millisecond(database: Database, lock: str, held: object) -> None:
    field, update = LOCKS[lock]
    await database.collection("locked").insert_one({"_id": 1})
    # In one command now is one moment.
    before: Pipeline = [{"$set": {field: held, "before": held}}]
    after: Pipeline = [{"$project": {"changed": {"$ne": ["$before", f"${field}"]}, "kind": {"$type": f"${field}"}}}]
    [row] = await database.collection("locked").aggregate([*before, *update, *after]).to_list(None)

    assert (row["changed"], row["kind"]) == (True, "date")
