"""Queries and updates of ``tokens``: usage and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.paging import older_than
from appdb._queries.types import Filter, Pipeline
from appdb.models.tokens import UsageFilter

SUMMED = ("input_tokens", "output_tokens", "units", "cost")


def record(fields: Mapping[str, Any]) -> Pipeline:
    """Write a call once, with the server's time; what is there already stays as it is."""
    # A repeated call must not count again, nor change what was billed (decision 0010).
    is_new = {"$eq": [{"$type": "$created_at"}, "missing"]}
    fresh = {"$mergeObjects": [literal(dict(fields)), {"created_at": NOW}]}
    return [{"$replaceWith": {"$cond": [is_new, fresh, "$$ROOT"]}}]


def replace(fields: Mapping[str, Any]) -> Pipeline:
    """Write a call in the place of what is there, which keeps its time."""
    stamped = {"created_at": {"$ifNull": ["$created_at", NOW]}}
    return [{"$replaceWith": {"$mergeObjects": [literal(dict(fields)), stamped]}}]


def calls(owner_id: str, wanted: UsageFilter) -> Filter:
    """An owner's calls; served by index tokens_owner or tokens_run."""
    match: Filter = {"owner_id": owner_id} | ({} if wanted.run_id is None else {"run_id": wanted.run_id})
    bounds = {"$gte": wanted.since, "$lt": wanted.until}
    if given := {operator: value for operator, value in bounds.items() if value is not None}:
        match["created_at"] = given
    return match


def page(owner_id: str, wanted: UsageFilter, last: Mapping[str, Any] | None) -> Filter:
    """Those of ``calls`` that follow *last*, newest first."""
    match = calls(owner_id, wanted)
    if last is None:
        return match
    following = older_than(last)
    bounds: dict[str, Any] = match.get("created_at", {}) | following["created_at"]
    return match | following | {"created_at": bounds}


def totals(match: Filter) -> Pipeline:
    """All totals at once: the calls are read and added up once, and their sums are added up further."""
    parts = {"provider": "$provider", "model": "$model", "step_id": "$step_id"}
    first = {"calls": {"$sum": 1}} | {name: {"$sum": f"${name}"} for name in SUMMED}
    again = {name: {"$sum": f"${name}"} for name in ("calls", *SUMMED)}

    def by(*names: str) -> Pipeline:
        key = {name: f"$_id.{name}" for name in names}
        return [{"$group": {"_id": key, **again}}, {"$sort": {"cost": -1, "_id": 1}}]

    # A `$facet` reads its input once; four aggregations would read the calls four times.
    facets = {
        "user": [{"$group": {"_id": None, **again}}],
        "by_provider": by("provider"),
        "by_model": by("provider", "model"),
        "by_step": by("step_id"),
    }
    return [{"$match": match}, {"$group": {"_id": parts, **first}}, {"$facet": facets}]
