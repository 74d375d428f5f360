"""The pipeline of the change feed: few changes, and of each only what a hint needs."""

from __future__ import annotations

from typing import Any

from appdb._schema import collections
from appdb.models.tasks import TaskState

# A change stream costs the server some 40 us for every task that it tells of (decision 0014).
UNHEARD = [TaskState.PROCESSING, TaskState.COMPLETED, TaskState.FAILED]
"""States that concern no worker: whoever brought them about knows."""


RUN_FIELDS = ("event_count", "branch_id", "version_id", "status", "deleting")
"""What of a run concerns those who follow it; a run lock alone changes none of these."""


def changes(*, events: bool, runs: bool = False) -> list[dict[str, Any]]:
    """Tasks that appear or change their state, and queues that are paused or resumed.

    With *events* also new entries of logs, and every state; without, only states that a worker acts on. Renewals and
    progress are left out. With *runs* also runs that appear or change.
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
    if runs:
        changed = [{f"updateDescription.updatedFields.{field}": {"$exists": True}} for field in RUN_FIELDS]
        appeared = {"operationType": {"$in": ["insert", "replace"]}}
        wanted.append({"ns.coll": collections.WORKFLOW_RUNS, "$or": [appeared, *changed]})
    is_task = {"$eq": ["$ns.coll", collections.TASKS]}
    is_run = {"$eq": ["$ns.coll", collections.WORKFLOW_RUNS]}
    # An insert shows the whole document, an update only what it changed.
    its_state = {"$ifNull": ["$fullDocument.state", f"${state}"]}
    its_question = {
        "$ifNull": ["$updateDescription.updatedFields.question.above", "$fullDocument.question.above", None]
    }
    return [
        {"$match": {"$or": wanted}},
        {
            "$project": {
                "task_id": {"$cond": [is_task, "$documentKey._id", None]},
                "state": {"$cond": [is_task, its_state, None]},
                "run_id": {"$cond": [is_run, "$documentKey._id", None]},
                # Only an insert shows whose it is: to look each run up again would cost every one who follows any.
                "owner_id": {"$cond": [is_run, {"$ifNull": ["$fullDocument.owner_id", None]}, None]},
                # Of a question that takes the place of another one, an update shows only what differs.
                "asks": {"$cond": [is_run, its_question, None]},
                "queue": {"$cond": [{"$eq": ["$ns.coll", collections.QUEUES]}, "$documentKey._id", None]},
            }
        },
    ]
