"""Queries and updates of ``content_generation_metadata``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.generated_content import BY_INDEX
from appdb._queries.paging import NEWEST_FIRST
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.models.content_generation_metadata import GenerationStatus

MAX_ITEMS = 500
"""Of one generation in a list of many; a list of its own has all of them."""


def generations(owner_id: str, **about: str | None) -> Filter:
    """An owner's generations, of one ``run_id`` or ``interaction_id`` when given.

    Served by index generations_owner, generations_run or generations_interaction.
    """
    return {"owner_id": owner_id} | {name: value for name, value in about.items() if value is not None}


def with_items(match: Filter, limit: int) -> Pipeline:
    """The newest *limit* of the generations that *match* finds, each with its items, in one query."""
    items = {
        "from": collections.CONTENTS,
        "localField": "_id",
        "foreignField": "generation_id",
        "pipeline": [{"$sort": dict(BY_INDEX)}, {"$limit": MAX_ITEMS}],
        "as": "items",
    }
    return [{"$match": match}, {"$sort": dict(NEWEST_FIRST)}, {"$limit": limit}, {"$lookup": items}]


def recorded(fields: Mapping[str, Any]) -> Pipeline:
    """Write what is known of a generation before it begins; what is there already stays."""
    fresh: dict[str, Any] = {name: literal(value) for name, value in fields.items()}
    fresh |= {"status": GenerationStatus.PENDING, "created_at": NOW}
    return [{"$set": {name: {"$ifNull": [f"${name}", value]} for name, value in fresh.items()}}]


def begun(fields: Mapping[str, Any], request: Mapping[str, Any], origin: Mapping[str, Any]) -> Pipeline:
    """Write what an attempt makes. What an earlier attempt learned from the same provider for the same work stays."""
    same = {"$and": [{"$eq": [f"${name}", literal(fields[name])]} for name in ("provider", "operation")]}
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
