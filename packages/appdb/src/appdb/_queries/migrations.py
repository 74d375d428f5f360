"""What migrations write of themselves: the lock, the contract, what is applied, and how far a run is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now, literal

Filter = dict[str, Any]
Pipeline = list[dict[str, Any]]
Update = dict[str, Any]

LOCK_ID = "migrations"
CONTRACT_ID = "contract"
RUNNING_ID = "running"
"""Among the applied migrations, the one that is under way; releases before contract 3 look at applied ones by id."""


def lock_if_free(holder: str, by: str, lease: timedelta) -> Pipeline:
    """Take the lock for *holder* unless somebody has it whose lease has not ended."""
    # An absent expiry sorts below every date, so a new document counts as free.
    free = {"$lte": ["$expires_at", NOW]}
    mine = {"holder": literal(holder), "by": literal(by), "since": NOW, "expires_at": from_now(lease)}
    return [{"$set": {name: {"$cond": [free, value, f"${name}"]} for name, value in mine.items()}}]


def held_lock(holder: str) -> Filter:
    """The lock while *holder* has it."""
    return {"_id": LOCK_ID, "holder": holder}


def renewed(lease: timedelta) -> Pipeline:
    """Hold the lock for *lease* from now."""
    return [{"$set": {"expires_at": from_now(lease)}}]


def contract(newest: int, oldest: int) -> Pipeline:
    """Say which contracts may work with the database.

    Hosts before contract 3 compare ``version`` with their own contract and know no more, so it is the oldest that may.
    """
    return [{"$set": {"version": oldest, "newest": newest, "updated_at": NOW}}]


def applied(description: str, checksum: str) -> Pipeline:
    """Record a migration as applied."""
    return [{"$set": {"description": literal(description), "checksum": checksum, "applied_at": NOW}}]


def begin(migration_id: str, direction: str, holder: str) -> Pipeline:
    """Name the migration under way; what a killed run of it in the same direction has finished is kept."""
    same = {"$and": [{"$eq": ["$migration", migration_id]}, {"$eq": ["$direction", direction]}]}
    return [
        {
            "$set": {
                "migration": migration_id,
                "direction": direction,
                "holder": literal(holder),
                "started_at": {"$cond": [same, "$started_at", NOW]},
                "updated_at": NOW,
                "steps": {"$cond": [same, "$steps", literal({})]},
            }
        }
    ]


def under_way(holder: str) -> Filter:
    """The record of the migration under way, as long as *holder* is the one that runs it."""
    return {"_id": RUNNING_ID, "holder": holder}


def step(name: str, fields: Mapping[str, Any]) -> Update:
    """Record how far the step *name* is; its name is written by the migration's author."""
    return {"$set": {f"steps.{name}": dict(fields)}, "$currentDate": {"updated_at": True}}


def after(match: Filter, position: object) -> Filter:
    """Those that fit *match* behind *position* in the order of ids; ``None`` for all."""
    return match if position is None else {"$and": [match, {"_id": {"$gt": position}}]}


def among(match: Filter, ids: list[Any]) -> Filter:
    """Those of *ids* that fit *match* still."""
    return {"$and": [{"_id": {"$in": ids}}, match]}


def touched() -> Update:
    """Show a sign of life, which fails when another host has taken over."""
    return {"$currentDate": {"updated_at": True}}
