"""Indexes of ``access_keys``: the keys of a user, and when those that ended disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

KEY_RETENTION = timedelta(days=30)
"""How long a key that was revoked or has expired is kept, for whoever asks what it was."""

INDEXES = (
    Index(
        collection=collections.ACCESS_KEYS,
        name="access_keys_held",
        keys=(("user_id", 1), ("is_active", 1), ("_id", -1)),
    ),
    Index(
        collection=collections.ACCESS_KEYS,
        name="access_keys_purge",
        keys=(("purge_at", 1),),
        options={"expireAfterSeconds": 0},
    ),
)
