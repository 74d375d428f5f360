"""Indexes of ``actors``: when actors that no worker announces disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

# API hosts accept tasks for an actor also while none of its workers is up.
ACTOR_RETENTION = timedelta(days=7)

INDEXES = (
    Index(
        collection=collections.ACTORS,
        name="actors_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(ACTOR_RETENTION.total_seconds())},
    ),
)
