"""Indexes of ``refresh_tokens``: the sessions of a user, and when they disappear."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.REFRESH_TOKENS,
        name="refresh_tokens_live",
        keys=(("user_id", 1), ("revoked_at", 1), ("_id", -1)),
    ),
    Index(
        collection=collections.REFRESH_TOKENS,
        name="refresh_tokens_purge",
        # The server deletes what has expired, about once a minute.
        keys=(("expires_at", 1),),
        options={"expireAfterSeconds": 0},
    ),
)
