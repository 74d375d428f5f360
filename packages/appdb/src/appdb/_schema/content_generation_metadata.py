"""Indexes of ``content_generation_metadata``: generations by task, owner, run and interaction."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, Index, having

INDEXES = (
    Index(collection=collections.GENERATIONS, name="generations_task", keys=(("task_id", 1),)),
    Index(collection=collections.GENERATIONS, name="generations_owner", keys=(("owner_id", 1), *NEWEST_FIRST)),
    Index(
        collection=collections.GENERATIONS,
        name="generations_run",
        keys=(("owner_id", 1), ("run_id", 1), *NEWEST_FIRST),
        options=having("run_id"),
    ),
    Index(
        collection=collections.GENERATIONS,
        name="generations_interaction",
        keys=(("owner_id", 1), ("interaction_id", 1), *NEWEST_FIRST),
        options=having("interaction_id"),
    ),
)
