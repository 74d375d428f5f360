"""Queries and updates of ``access_keys``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from appdb._queries.clock import FOREVER, NOW, from_now
from appdb._queries.types import Filter, Pipeline, Update
from appdb._schema import collections
from appdb._schema.access_keys import KEY_RETENTION

WITHOUT_DIGEST = {"digest": 0}
STAMP_EVERY = timedelta(minutes=1)
"""How exact ``last_used_at`` is: a key that is used all the time costs one write in this time."""


def proved(key_id: str, digest: str) -> Pipeline:
    """The key with this id and digest, if it and its user are active, with the user and whether a stamp is due.

    A wrong digest finds as little as an unknown id, by the same seek: neither costs more than the other. Comparing
    digests in the server tells nothing by its time, since nobody can choose a part of a digest.
    """
    in_time = {"$gt": [{"$ifNull": ["$expires_at", FOREVER]}, NOW]}
    user = {
        "from": collections.USERS,
        "localField": "user_id",
        "foreignField": "_id",
        "as": "user",
        "pipeline": [{"$match": {"is_active": True}}, {"$project": {"is_guest": 1, "roles": 1}}],
    }
    return [
        {"$match": {"_id": key_id, "digest": digest, "is_active": True, "$expr": in_time}},
        {"$lookup": user},
        {"$unwind": "$user"},
        {"$addFields": {"stale": _stale()}},
    ]


def stamp(key_id: str) -> tuple[Filter, Pipeline]:
    """Note that the key was used, unless that was noted within the last minute, by whichever host."""
    return {"_id": key_id, "$expr": _stale()}, [{"$set": {"last_used_at": NOW}}]


def _stale() -> dict[str, Any]:
    # What is absent sorts below every date.
    return {"$lt": ["$last_used_at", from_now(-STAMP_EVERY)]}


def held(user_id: str) -> Filter:
    """A user's keys that were not revoked; served by index access_keys_held."""
    return {"user_id": user_id, "is_active": True}


def owned(key_id: str, user_id: str) -> Filter:
    """One key of one user."""
    return {"_id": key_id, "user_id": user_id}


def owned_and_active(key_id: str, user_id: str) -> Filter:
    """One key of one user, if it was not revoked."""
    return owned(key_id, user_id) | {"is_active": True}


def all_of(user_id: str) -> Filter:
    """All keys of a user; served by index access_keys_held."""
    return {"user_id": user_id}


def rename(name: str) -> Update:
    """Give the key another name."""
    return {"$set": {"name": name}}


def revoke() -> Pipeline:
    """End the key; the first time counts."""
    first = {
        "revoked_at": {"$ifNull": ["$revoked_at", NOW]},
        "purge_at": {"$cond": ["$is_active", from_now(KEY_RETENTION), "$purge_at"]},
    }
    return [{"$set": first | {"is_active": False}}]
