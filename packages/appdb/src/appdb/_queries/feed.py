"""What the change feed asks for: few changes, and of each only what a hint needs."""

from __future__ import annotations

from typing import Any

from appdb._schema import collections


def changes(*, events: bool) -> list[dict[str, Any]]:
    """Tasks that appear or change their state, and with *events* also new entries of logs; renewals are left out."""
    wanted: list[dict[str, Any]] = [
        {"ns.coll": collections.TASKS, "operationType": {"$in": ["insert", "replace"]}},
        {
            "ns.coll": collections.TASKS,
            "operationType": "update",
            "updateDescription.updatedFields.state": {"$exists": True},
        },
    ]
    if events:
        wanted.append({"ns.coll": collections.TASK_EVENTS, "operationType": "insert"})
    is_task = {"$eq": ["$ns.coll", collections.TASKS]}
    state = {"$ifNull": ["$fullDocument.state", "$updateDescription.updatedFields.state"]}
    return [
        {"$match": {"$or": wanted}},
        {
            "$project": {
                "task_id": {"$cond": [is_task, "$documentKey._id", "$fullDocument.task_id"]},
                "state": {"$cond": [is_task, state, None]},
            }
        },
    ]
