"""Indexes of ``workflow_files``: the files of a run by name, category and group, and by bytes."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

_RUN = (("owner_id", 1), ("run_id", 1))

INDEXES = (
    # One file of a name; and the groups of a category, from one to the next.
    Index(
        collection=collections.FILES,
        name="files_key",
        keys=(*_RUN, ("category", 1), ("group", 1), ("name", 1), ("branch_id", 1)),
        options={"unique": True},
    ),
    Index(collection=collections.FILES, name="files_run", keys=(*_RUN, ("_id", 1))),
    Index(collection=collections.FILES, name="files_category", keys=(*_RUN, ("category", 1), ("_id", 1))),
    Index(collection=collections.FILES, name="files_group", keys=(*_RUN, ("category", 1), ("group", 1), ("_id", 1))),
    Index(
        collection=collections.FILES,
        name="files_name",
        keys=(*_RUN, ("name", 1), ("category", 1), ("updated_at", -1), ("_id", -1)),
    ),
    # Whether anything names bytes.
    Index(
        collection=collections.FILES,
        name="files_bytes",
        keys=(("file_id", 1),),
        options={"partialFilterExpression": {"file_id": TEXT}},
    ),
)
