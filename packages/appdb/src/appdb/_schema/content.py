"""What generations and content are read by."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(collection=collections.GENERATIONS, name="generations_task", keys=(("task_id", 1),)),
    Index(
        collection=collections.CONTENTS,
        name="contents_task",
        keys=(("owner_id", 1), ("task_id", 1), ("index", 1), ("_id", 1)),
    ),
    Index(
        collection=collections.CONTENTS,
        name="contents_owner",
        keys=(("owner_id", 1), ("created_at", -1), ("_id", -1)),
    ),
    Index(collection=collections.CONTENTS, name="contents_file", keys=(("file_id", 1),)),
)
