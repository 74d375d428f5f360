"""Indexes of ``workflow_run_versions``: the version history of a run."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, Index

INDEXES = (
    Index(collection=collections.RUN_VERSIONS, name="run_versions_newest", keys=(("run_id", 1), *NEWEST_FIRST)),
    Index(collection=collections.RUN_VERSIONS, name="run_versions_run", keys=(("run_id", 1), ("_id", -1))),
)
