"""Indexes of ``generated_content``: items by task, owner, generation, preview and bytes."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, Index, having

INDEXES = (
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
        options=having("preview_id"),
    ),
    Index(collection=collections.CONTENTS, name="contents_file", keys=(("file_id", 1),)),
)
