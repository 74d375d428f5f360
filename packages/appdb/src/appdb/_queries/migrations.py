"""Queries and updates of ``migrations``: which are applied, and how far the running one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Update

RUNNING_ID = "running"
"""Among the applied migrations, the one that is under way; releases before contract 3 look at applied ones by id."""


def record_applied(description: str, checksum: str) -> Pipeline:
    """Record a migration as applied."""
    return [{"$set": {"description": literal(description), "checksum": checksum, "applied_at": NOW}}]


def begin(migration_id: str, direction: str, holder: str) -> Pipeline:
    """Name the migration under way; what a killed run of it in the same direction has finished is kept."""
    # A run that was killed goes on where it stopped; the other direction begins anew.
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


def touch() -> Update:
    """Show a sign of life, which fails when another host has taken over."""
    return {"$currentDate": {"updated_at": True}}
