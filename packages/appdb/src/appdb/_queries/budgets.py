"""Queries and updates of ``budgets``, and of the tasks and the usage that they are counted from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from appdb._queries.clock import NOW, changed_now
from appdb._queries.expressions import array, literal
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.models.budgets import BudgetKind
from appdb.models.tasks import LIVE_STATES, TaskState

TODAY = {"$dateTrunc": {"date": NOW, "unit": "day"}}
"""The beginning of the day, UTC, by the server's clock."""
_SPENT = {"$ifNull": ["$spent", 0]}
_IS_DAILY = {"$eq": ["$kind", BudgetKind.DAY]}
_SPENT_NOW = {"$cond": [{"$and": [_IS_DAILY, {"$ne": ["$day", TODAY]}]}, 0, _SPENT]}
"""What is spent; of a day's budget nothing when its day is over."""


def standing(keys: Collection[str], *, limited: bool = False) -> Pipeline:
    """Return budgets, or only those with a limit, as they stand now; served by index tasks_reserving."""
    runs = {"$concatArrays": [["$run_id"], array("$ancestor_runs")]}
    of_run = {"$or": [{"$eq": [{"$ifNull": ["$$run", None]}, None]}, {"$in": ["$$run", runs]}]}
    live = {"state": {"$in": sorted(LIVE_STATES)}, "reserved": {"$gte": 0}, "$expr": of_run}
    reserving = {
        "from": collections.TASKS,
        "localField": "owner_id",
        "foreignField": "owner_id",
        "let": {"run": "$run_id"},
        "pipeline": [{"$match": live}, {"$group": {"_id": None, "sum": {"$sum": "$reserved"}}}],
        "as": "reserving",
    }
    sums = {"spent": _SPENT_NOW, "reserved": {"$ifNull": [{"$first": "$reserving.sum"}, 0]}}
    match = by_keys(keys) | ({"limit": {"$gte": 0}} if limited else {})
    return [{"$match": match}, {"$lookup": reserving}, {"$set": sums}, {"$unset": "reserving"}]


def by_keys(keys: Collection[str]) -> Filter:
    """Some budgets."""
    return {"_id": {"$in": sorted(keys)}}


def touch() -> Pipeline:
    """Write to a budget, so that of two tasks that are let in at once one begins again."""
    return [{"$set": {"touched_at": changed_now("touched_at")}}]


def begin(fields: Mapping[str, Any]) -> Pipeline:
    """Make a budget that counts from now on, without a limit; one that is there stays as it is."""
    fresh = {name: literal(value) for name, value in fields.items()} | {
        "limit": None,
        "spent": 0,
        "day": {"$cond": [{"$eq": [literal(fields["kind"]), BudgetKind.DAY]}, TODAY, None]},
        "counted": False,
        "created_at": NOW,
        "updated_at": NOW,
    }
    is_new = {"$eq": [{"$type": "$created_at"}, "missing"]}
    return [{"$replaceWith": {"$cond": [is_new, {"$mergeObjects": ["$$ROOT", fresh]}, "$$ROOT"]}}]


def set_limit(limit: Any, spent: Any | None) -> Pipeline:
    """Set the limit, and what was spent before where that was counted only now."""
    counted = {} if spent is None else {"spent": literal(spent), "counted": True, "day": _this_day()}
    return [{"$set": {"limit": literal(limit), "updated_at": NOW} | counted}]


def spend(amount: Any) -> Pipeline:
    """Add what a call cost, today."""
    return [{"$set": {"spent": {"$add": [_SPENT_NOW, literal(amount)]}, "day": _this_day(), "updated_at": NOW}}]


def _this_day() -> dict[str, Any]:
    return {"$cond": [_IS_DAILY, TODAY, None]}


def working(owner_id: str) -> Filter:
    """The tasks of an owner that are held, and may be recording what they cost; served by tasks_owner_state_newest."""
    return {"owner_id": owner_id, "state": TaskState.PROCESSING}


def ledger(kind: BudgetKind, owner_id: str, run_ids: Collection[str]) -> Pipeline:
    """Return the cost of all calls of tasks that a budget counts; served by index tokens_owner or tokens_run."""
    match: Filter = {"owner_id": owner_id, "task_id": {"$type": "string"}}
    match |= {} if kind is not BudgetKind.RUN else {"run_id": {"$in": sorted(run_ids)}}
    match |= {"$expr": {"$gte": ["$created_at", TODAY]}} if kind is BudgetKind.DAY else {}
    return [{"$match": match}, {"$group": {"_id": None, "cost": {"$sum": "$cost"}}}]


def drawn(cost: Any) -> Pipeline:
    """The change of a task by which what it has spent is no longer reserved; nothing where it reserves nothing."""
    left = {"$max": [0, {"$subtract": ["$reserved", literal(cost)]}]}
    return [{"$set": {"reserved": {"$cond": [{"$isNumber": "$reserved"}, left, "$$REMOVE"]}}}]
