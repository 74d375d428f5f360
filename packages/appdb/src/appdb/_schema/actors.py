"""What workers and actors are read by, and when they disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

ACTOR_RETENTION = timedelta(days=7)
WORKER_RETENTION = timedelta(minutes=5)

INDEXES = (
    Index(
        collection=collections.ACTORS,
        name="actors_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(ACTOR_RETENTION.total_seconds())},
    ),
    Index(
        collection=collections.WORKERS,
        name="workers_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(WORKER_RETENTION.total_seconds())},
    ),
)
