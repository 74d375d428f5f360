"""Queries and updates of ``weighted_keywords``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.paging import LAST_USED_FIRST
from appdb._queries.types import Filter, Pipeline
from appdb._queries.uses import counted_once
from appdb.utils import milliseconds


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
    return counted_once(fields, changes, use_id)


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
        {"$sort": dict(LAST_USED_FIRST)},
        {"$limit": most},
        {"$set": {"weight": decayed(half_life)}},
        {"$sort": {"weight": -1, "_id": 1}},
        {"$limit": limit},
    ]


def lighter_than(match: Filter, weight: float, half_life: timedelta) -> Filter:
    """Keywords that have decayed below *weight*; served by index keywords_category."""
    return match | {"$expr": {"$lt": [decayed(half_life), weight]}}
