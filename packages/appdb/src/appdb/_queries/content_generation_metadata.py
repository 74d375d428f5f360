"""Queries and updates of ``content_generation_metadata``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from appdb._queries.clock import NOW, changed_now
from appdb._queries.expressions import literal
from appdb._queries.generated_content import BY_INDEX
from appdb._queries.paging import NEWEST_FIRST
from appdb._queries.types import Filter, Pipeline, Update
from appdb._schema import collections
from appdb.models.content_generation_metadata import GenerationStatus

MAX_ITEMS = 500
"""Of one generation in a list of many; a list of its own has all of them."""


def generations(owner_id: str, **about: str | None) -> Filter:
    """An owner's generations, of one ``run_id`` or ``interaction_id`` when given.

    Served by index generations_owner, generations_run or generations_interaction.
    """
    return {"owner_id": owner_id} | {name: value for name, value in about.items() if value is not None}


def owned(generation_id: str, owner_id: str) -> Filter:
    """One generation of one owner."""
    return {"_id": generation_id, "owner_id": owner_id}


def pending_of(task_ids: Sequence[Any]) -> Filter:
    """The generations of some tasks that have not ended; served by index generations_task."""
    return {"task_id": {"$in": list(task_ids)}, "status": GenerationStatus.PENDING}


def with_items(match: Filter, limit: int) -> Pipeline:
    """The newest *limit* of the generations that *match* finds, each with its items, in one query."""
    # The items come with the page; a query for each generation would be a round trip each.
    items = {
        "from": collections.CONTENTS,
        "localField": "_id",
        "foreignField": "generation_id",
        "pipeline": [{"$sort": dict(BY_INDEX)}, {"$limit": MAX_ITEMS}],
        "as": "items",
    }
    return [{"$match": match}, {"$sort": dict(NEWEST_FIRST)}, {"$limit": limit}, {"$lookup": items}]


def record(fields: Mapping[str, Any]) -> Pipeline:
    """Write what is known of a generation before it begins; what is there already stays."""
    fresh: dict[str, Any] = {name: literal(value) for name, value in fields.items()}
    fresh |= {"status": GenerationStatus.PENDING, "created_at": NOW}
    return [{"$set": {name: {"$ifNull": [f"${name}", value]} for name, value in fresh.items()}}]


def begin(fields: Mapping[str, Any], request: Mapping[str, Any], origin: Mapping[str, Any]) -> Pipeline:
    """Write what an attempt makes. What an earlier attempt learned from the same provider for the same work stays."""
    same = {"$and": [{"$eq": [f"${name}", literal(fields[name])]} for name in ("provider", "operation")]}
    # Another attempt asks the provider for the work that was begun, in place of paying for it again.
    learned = ("provider_task_id", "usage")
    kept = {name: {"$cond": [same, {"$ifNull": [f"${name}", None]}, None]} for name in learned}
    given = {name: {"$ifNull": [literal(value), f"${name}", None]} for name, value in origin.items()}
    begins = {
        "request": {"$ifNull": ["$request", literal(dict(request))]},
        "status": GenerationStatus.PENDING,
        "error": None,
        "created_at": {"$ifNull": ["$created_at", NOW]},
        "completed_at": None,
    }
    return [{"$set": kept | given | begins | {name: literal(value) for name, value in fields.items()}}]


def report(changes: Mapping[str, Any]) -> Pipeline:
    """Write what an attempt has learned from its provider."""
    return [{"$set": {name: literal(value) for name, value in changes.items()}}]


def close(status: GenerationStatus, at: datetime, error: str | None) -> Update:
    """End generations with their tasks, at the server's time of that."""
    return {"$set": {"status": status, "completed_at": at, "error": error}}


def prune() -> Pipeline:
    """Note that an item is deleted: deletions within a generation conflict, and so come one after the other."""
    return [{"$set": {"pruned_at": changed_now("pruned_at")}}]
