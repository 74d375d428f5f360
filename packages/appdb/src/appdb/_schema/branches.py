"""Indexes of ``branches``: the branches of a run, and deletions."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, Index

INDEXES = (
    Index(collection=collections.BRANCHES, name="branches_newest", keys=(("run_id", 1), *NEWEST_FIRST)),
    Index(collection=collections.BRANCHES, name="branches_run", keys=(("run_id", 1), ("_id", -1))),
    Index(
        collection=collections.BRANCHES,
        name="branches_deleting",
        keys=(("deleting", 1), ("_id", 1)),
        options={"partialFilterExpression": {"deleting": True}},
    ),
    Index(collection=collections.BRANCHES, name="branches_lineage", keys=(("run_id", 1), ("lineage.branch_id", 1))),
)
