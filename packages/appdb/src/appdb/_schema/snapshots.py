"""Indexes of ``snapshots``: the snapshots of a branch, and when they disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

SNAPSHOT_RETENTION = timedelta(days=90)
"""A snapshot is made again when it is missed, so that one which was written while its run was deleted goes too."""

INDEXES = (
    Index(
        collection=collections.SNAPSHOTS,
        name="snapshots_branch",
        keys=(("run_id", 1), ("branch_id", 1), ("fold_version", 1), ("seq", 1)),
    ),
    Index(
        collection=collections.SNAPSHOTS,
        name="snapshots_expire",
        keys=(("created_at", 1),),
        options={"expireAfterSeconds": int(SNAPSHOT_RETENTION.total_seconds())},
    ),
)
