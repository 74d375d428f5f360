"""Queries and updates of ``actors``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline


def named(name: str) -> Filter:
    """One actor."""
    return {"_id": name}


def announce(fields: Mapping[str, Any]) -> Pipeline:
    """Write what a worker says of an actor, and when; the newest announcement counts."""
    return [{"$set": {name: literal(value) for name, value in fields.items()} | {"seen_at": NOW}}]
