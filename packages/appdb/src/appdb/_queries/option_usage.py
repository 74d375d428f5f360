"""What we ask of ``option_usage`` and ``weighted_keywords``: filters, updates and pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now, literal
from appdb.utils import derived_id, milliseconds

Filter = dict[str, Any]
Pipeline = list[dict[str, Any]]

NEWEST_FIRST = [("last_used_at", -1), ("_id", 1)]
REMEMBERED_USES = 100
"""How many uses of one option or keyword may lie between a call and its repetition."""


def scope(fields: Mapping[str, str]) -> Filter:
    """What has these fields; served by the collection's one index when they are its first ones."""
    return dict(fields)


def use_option(fields: Mapping[str, Any], use_id: str) -> Pipeline:
    """Count a use, once however often the use of that id is repeated."""
    changes = {
        "count": {"$add": [{"$ifNull": ["$count", 0]}, 1]},
        "last_used_at": NOW,
        "use_id": literal(use_id),
    }
    return _once(fields, changes, use_id)


def use_keyword(
    fields: Mapping[str, Any], details: Mapping[str, Any], use_id: str, *, weight: float, half_life: timedelta
) -> Pipeline:
    """Add *weight* to what the time since the last use has left, once however often the use is repeated."""
    changes = {
        "weight": {"$add": [decayed(half_life), weight]},
        "details": literal(dict(details)),
        "last_used_at": NOW,
        "use_id": literal(use_id),
    }
    return _once(fields, changes, use_id)


def _once(fields: Mapping[str, Any], changes: Mapping[str, Any], use_id: str) -> Pipeline:
    given = {name: literal(value) for name, value in fields.items()}
    known = {"$ifNull": ["$use_ids", []]}
    mark = literal(derived_id("", use_id))
    is_repeat = {"$or": [{"$eq": ["$use_id", literal(use_id)]}, {"$in": [mark, known]}]}
    remembered = {"use_ids": {"$slice": [{"$concatArrays": [known, [mark]]}, -REMEMBERED_USES]}}
    used = {"$mergeObjects": ["$$ROOT", {**given, **changes, **remembered}]}
    return [{"$replaceWith": {"$cond": [is_repeat, "$$ROOT", used]}}]


def decayed(half_life: timedelta) -> dict[str, Any]:
    """A keyword's weight now, by the server's clock: 0 for a new one, and never more than before."""
    # A new primary's clock may be behind, and an absent time counts as now.
    elapsed = {"$max": [0, {"$subtract": [NOW, {"$ifNull": ["$last_used_at", NOW]}]}]}
    halvings = {"$divide": [elapsed, milliseconds(half_life)]}
    return {"$multiply": [{"$ifNull": ["$weight", 0]}, {"$pow": [2, {"$multiply": [-1, halvings]}]}]}


def heaviest(match: Filter, *, half_life: timedelta, limit: int, most: int) -> Pipeline:
    """The *limit* heaviest of the *most* keywords that were used last; served by index keywords_category."""
    return [
        {"$match": match},
        {"$sort": dict(NEWEST_FIRST)},
        {"$limit": most},
        {"$set": {"weight": decayed(half_life)}},
        {"$sort": {"weight": -1, "_id": 1}},
        {"$limit": limit},
    ]


def lighter_than(match: Filter, weight: float, half_life: timedelta) -> Filter:
    """Keywords that have decayed below *weight*; served by index keywords_category."""
    return match | {"$expr": {"$lt": [decayed(half_life), weight]}}


def unused_for(match: Filter, duration: timedelta) -> Filter:
    """Options that were not used since; served by index option_usage_module."""
    return match | {"$expr": {"$lt": ["$last_used_at", from_now(-duration)]}}
