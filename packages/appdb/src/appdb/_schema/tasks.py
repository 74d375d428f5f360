"""Indexes of ``tasks``: claims, maintenance, and the lists of owners and operators."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, Index, having

INDEXES = (
    # Equality, sort: one seek per claim key (stored as `lane`), already in claim order. Small: only queued tasks.
    Index(
        collection=collections.TASKS,
        name="tasks_lane",
        keys=(("lane", 1), ("priority", -1), ("queued_at", 1), ("_id", 1)),
        options={"partialFilterExpression": {"state": "queued"}},
    ),
    # One seek per group (a fairness key, stored as `group`). The state leads, so that it is no filter of its own: a
    # filter would keep the server from skipping from group to group.
    Index(
        collection=collections.TASKS,
        name="tasks_group",
        keys=(("state", 1), ("group", 1), ("priority", -1), ("queued_at", 1), ("_id", 1)),
        options={"partialFilterExpression": {"state": "queued"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_held",
        keys=(("lease.expires_at", 1), ("queue", 1)),
        options={"partialFilterExpression": {"state": "processing"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_held_limit",
        keys=(("limits.key", 1),),
        options={"partialFilterExpression": {"state": "processing", "limited": True}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_scheduled",
        keys=(("run_at", 1), ("queue", 1)),
        options={"partialFilterExpression": {"state": "scheduled"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_expiring",
        keys=(("expires_at", 1),),
        options={"partialFilterExpression": {"expires_at": {"$type": "date"}}},
    ),
    # What is pruned, and what became final lately.
    Index(
        collection=collections.TASKS,
        name="tasks_finished",
        keys=(("finished_at", 1), ("state", 1), ("queue", 1)),
        options={"partialFilterExpression": {"finished_at": {"$type": "date"}}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_parent",
        keys=(("parent_id", 1), ("_id", 1)),
        options={"partialFilterExpression": {"parent_id": {"$type": "string"}}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_unique_key",
        keys=(("owner_id", 1), ("unique_key", 1)),
        options={"unique": True, "partialFilterExpression": {"unique_key": {"$type": "string"}}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_run",
        keys=(("run_id", 1), ("state", 1), ("_id", -1)),
        # Not $type: the server would not use the index to look for a text.
        options={"partialFilterExpression": {"run_id": {"$gt": ""}}},
    ),
    # What a task works for within its run. No state is in it, so that no change of state writes to it; a live one is
    # found by `tasks_run`. The server skips over values that a filter leaves open.
    Index(
        collection=collections.TASKS,
        name="tasks_labels",
        keys=(
            ("run_id", 1),
            ("branch_id", 1),
            ("step", 1),
            ("module", 1),
            ("sub_action_id", 1),
            *NEWEST_FIRST,
        ),
        options=having("run_id"),
    ),
    # Few tasks concern an interaction: its timer, and what follows that.
    Index(
        collection=collections.TASKS,
        name="tasks_interaction",
        keys=(("run_id", 1), ("interaction_id", 1), *NEWEST_FIRST),
        options=having("interaction_id"),
    ),
    # What live tasks of an owner may still cost; the sum is in the index.
    Index(
        collection=collections.TASKS,
        name="tasks_reserving",
        keys=(("owner_id", 1), ("state", 1), ("run_id", 1), ("reserved", 1)),
        options={"partialFilterExpression": {"reserved": {"$gte": 0}}},
    ),
    Index(collection=collections.TASKS, name="tasks_newest", keys=NEWEST_FIRST),
    # Lists of all states too: the server merges the states, each in its order.
    Index(
        collection=collections.TASKS,
        name="tasks_owner_state_newest",
        keys=(("owner_id", 1), ("state", 1), *NEWEST_FIRST),
    ),
    # What hosts of contract 3 list by: ids, which tell no time where they are derived from a key.
    Index(collection=collections.TASKS, name="tasks_owner", keys=(("owner_id", 1), ("_id", -1))),
    Index(collection=collections.TASKS, name="tasks_owner_state", keys=(("owner_id", 1), ("state", 1), ("_id", -1))),
)
