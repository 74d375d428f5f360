"""Create the indexes of runs, events, versions, files, usage, credentials and history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appdb._schema import collections
from appdb._schema.index import Index
from appdb._schema.indexes import INDEXES
from appdb.migrations._released import Contract

if TYPE_CHECKING:
    from appdb.database import Database
    from appdb.migrations._steps import Steps

CONTRACT = Contract(newest=3, oldest=2)

KEPT = frozenset(
    {
        "actors_stale",
        "contents_file",
        "contents_owner",
        "contents_task",
        "generations_task",
        "limits_idle",
        "schedules_due",
        "schedules_owner",
        "task_events_log",
        "task_steps_task",
        "tasks_expiring",
        "tasks_finished",
        "tasks_group",
        "tasks_held",
        "tasks_held_limit",
        "tasks_lane",
        "tasks_owner",
        "tasks_owner_state",
        "tasks_parent",
        "tasks_scheduled",
        "tasks_unique_key",
        "workers_stale",
    }
)
"""What contract 2 reads by."""


OUTGROWN = Index(collection=collections.ACCESS_KEYS, name="access_keys_user", keys=(("user_id", 1),))
"""What contract 2 declares and reads nothing by."""


async def up(_: Database, steps: Steps) -> None:
    """Create every declared index that is missing; what hosts of contract 2 read by stays, since they work on."""
    await steps.add_indexes("indexes", INDEXES)
    await steps.drop_indexes("outgrown", [(OUTGROWN.collection, OUTGROWN.name)])


async def down(_: Database, steps: Steps) -> None:
    """Drop what contract 2 does not read by; no document is touched."""
    await steps.add_indexes("outgrown", [OUTGROWN])
    await steps.drop_indexes("indexes", [(row.collection, row.name) for row in INDEXES if row.name not in KEPT])
