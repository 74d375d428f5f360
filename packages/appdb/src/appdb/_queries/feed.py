"""The pipeline of the change feed: few changes, and of each only what a hint needs."""

from __future__ import annotations

from typing import Any

from appdb._schema import collections
from appdb.models.tasks import TaskState

# A change stream costs the server some 40 us for every task that it tells of (decision 0014).
UNHEARD = [TaskState.PROCESSING, TaskState.COMPLETED, TaskState.FAILED]
"""States that concern no worker: whoever brought them about knows."""


def changes(*, events: bool) -> list[dict[str, Any]]:
    """Tasks that appear or change their state, and queues that are paused or resumed.

    With *events* also new entries of logs, and every state; without, only states that a worker acts on. Renewals and
    progress are left out.
    """
    state = "updateDescription.updatedFields.state"
    heard: dict[str, Any] = {"$exists": True} if events else {"$exists": True, "$nin": UNHEARD}
    wanted: list[dict[str, Any]] = [
        {"ns.coll": collections.TASKS, "operationType": {"$in": ["insert", "replace"]}},
        {"ns.coll": collections.TASKS, "operationType": "update", state: heard},
        {"ns.coll": collections.QUEUES},
    ]
    if events:
        logged = {"updateDescription.updatedFields.event_count": {"$exists": True}}
        wanted.append({"ns.coll": collections.TASKS, "operationType": "update", **logged})
    is_task = {"$eq": ["$ns.coll", collections.TASKS]}
    # An insert shows the whole document, an update only what it changed.
    its_state = {"$ifNull": ["$fullDocument.state", f"${state}"]}
    return [
        {"$match": {"$or": wanted}},
        {
            "$project": {
                "task_id": {"$cond": [is_task, "$documentKey._id", None]},
                "state": {"$cond": [is_task, its_state, None]},
                "queue": {"$cond": [{"$eq": ["$ns.coll", collections.QUEUES]}, "$documentKey._id", None]},
            }
        },
    ]
