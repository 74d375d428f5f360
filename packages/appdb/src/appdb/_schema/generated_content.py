"""What generations and content are read by."""

from __future__ import annotations

from typing import Any

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

NEWEST_FIRST = (("created_at", -1), ("_id", -1))


def _named(field: str) -> dict[str, Any]:
    return {"partialFilterExpression": {field: TEXT}}


INDEXES = (
    Index(collection=collections.GENERATIONS, name="generations_task", keys=(("task_id", 1),)),
    Index(collection=collections.GENERATIONS, name="generations_owner", keys=(("owner_id", 1), *NEWEST_FIRST)),
    Index(
        collection=collections.GENERATIONS,
        name="generations_run",
        keys=(("owner_id", 1), ("run_id", 1), *NEWEST_FIRST),
        options=_named("run_id"),
    ),
    Index(
        collection=collections.GENERATIONS,
        name="generations_interaction",
        keys=(("owner_id", 1), ("interaction_id", 1), *NEWEST_FIRST),
        options=_named("interaction_id"),
    ),
    Index(
        collection=collections.CONTENTS,
        name="contents_task",
        keys=(("owner_id", 1), ("task_id", 1), ("index", 1), ("_id", 1)),
    ),
    Index(collection=collections.CONTENTS, name="contents_owner", keys=(("owner_id", 1), *NEWEST_FIRST)),
    Index(
        collection=collections.CONTENTS,
        name="contents_generation",
        keys=(("generation_id", 1), ("index", 1), ("_id", 1)),
    ),
    Index(
        collection=collections.CONTENTS,
        name="contents_preview",
        keys=(("preview_id", 1),),
        options=_named("preview_id"),
    ),
    Index(collection=collections.CONTENTS, name="contents_file", keys=(("file_id", 1),)),
)
