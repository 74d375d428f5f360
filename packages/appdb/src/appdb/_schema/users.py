"""What users and their credentials are read by, and when credentials disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

KEY_RETENTION = timedelta(days=30)
"""How long a key that was revoked or has expired is kept, for whoever asks what it was."""

# Comparing with "" finds strings only: any number of users have no name or no address, left out or null.
_NAMED = {"username_key": {"$gt": ""}}
_ADDRESSED = {"email_key": {"$gt": ""}}

INDEXES = (
    Index(
        collection=collections.USERS,
        name="users_username",
        keys=(("username_key", 1),),
        options={"unique": True, "partialFilterExpression": _NAMED},
    ),
    Index(
        collection=collections.USERS,
        name="users_email",
        keys=(("email_key", 1),),
        options={"unique": True, "partialFilterExpression": _ADDRESSED},
    ),
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
    Index(
        collection=collections.REFRESH_TOKENS,
        name="refresh_tokens_live",
        keys=(("user_id", 1), ("revoked_at", 1), ("_id", -1)),
    ),
    Index(
        collection=collections.REFRESH_TOKENS,
        name="refresh_tokens_purge",
        keys=(("expires_at", 1),),
        options={"expireAfterSeconds": 0},
    ),
)
