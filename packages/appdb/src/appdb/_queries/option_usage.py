"""Queries and updates of ``option_usage``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline
from appdb._queries.uses import counted_once


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
    return counted_once(fields, changes, use_id)


def unused_for(match: Filter, duration: timedelta) -> Filter:
    """Options that were not used since; served by index option_usage_module."""
    return match | {"$expr": {"$lt": ["$last_used_at", from_now(-duration)]}}
