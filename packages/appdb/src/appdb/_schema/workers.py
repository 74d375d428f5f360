"""Indexes of ``workers``: when workers that are silent disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

# A worker announces itself far more often, so one that is silent this long has ended.
WORKER_RETENTION = timedelta(minutes=5)

INDEXES = (
    Index(
        collection=collections.WORKERS,
        name="workers_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(WORKER_RETENTION.total_seconds())},
    ),
)
