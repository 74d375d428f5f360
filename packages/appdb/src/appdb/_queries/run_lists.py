"""Queries of lists over ``workflow_runs``: by time, open questions, and runs without a live cause."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from appdb._queries.clock import from_now
from appdb._queries.paging import older_than
from appdb._queries.types import Filter, Pipeline, Sort
from appdb._schema import collections
from appdb.models.run_lists import RunFilter
from appdb.models.tasks import LIVE_STATES
from appdb.models.workflow_runs import RunStatus

LATEST_FIRST: Sort = [("updated_at", -1), ("_id", -1)]
"""Last activity first."""
LONGEST_UNCHANGED_FIRST: Sort = [("updated_at", 1), ("_id", 1)]
WORKING = (RunStatus.CREATED, RunStatus.PROCESSING)
"""Statuses of runs that something other than their user must move on."""
UNDER_WAY = (*WORKING, RunStatus.AWAITING_INPUT)
DEEPEST = 10
"""How deep below a run its child runs are looked at."""


def page(
    owner_id: str,
    statuses: Collection[RunStatus],
    project: str | None,
    template_id: str | None,
    last: Mapping[str, Any] | None,
) -> Filter:
    """An owner's runs, older than *last*; served by index runs_newest, or that of a status, a project or a template."""
    match: Filter = {"owner_id": owner_id, "listed": True}
    if statuses:
        match["status"] = {"$in": sorted(statuses)}
    match |= _named(project, template_id)
    return match if last is None else match | older_than(last)


def _named(project: str | None, template_id: str | None) -> Filter:
    named = {"project": project, "template_id": template_id}
    return {name: value for name, value in named.items() if value is not None}


def by_activity(owner_id: str, statuses: Collection[RunStatus]) -> Filter:
    """An owner's runs; served by index runs_owner_activity, whose statuses the server merges in order."""
    return {"owner_id": owner_id, "listed": True, "status": {"$in": sorted(statuses or RunStatus)}}


def of_everybody(wanted: RunFilter) -> Filter:
    """The runs that an operator means; served by index runs_activity, or runs_owner_activity where an owner is named.

    A project or a template is looked at, not searched by.
    """
    whose = {} if wanted.owner_id is None else {"owner_id": wanted.owner_id}
    match: Filter = {"listed": True, "status": {"$in": sorted(wanted.statuses or RunStatus)}, **whose}
    if wanted.run_id is not None:
        return {"_id": wanted.run_id, "deleting": {"$ne": True}, **whose}
    if wanted.updated_after is not None:
        match["updated_at"] = {"$gte": wanted.updated_after}
    return match | _named(wanted.project, wanted.template_id)


def asking(owner_id: str, below: str | None) -> Filter:
    """An owner's runs that ask something, also those that do sub-actions; served by index runs_owner_activity.

    With *below*, only those that do a sub-action of this run, at any depth; that is looked at, not searched by.
    """
    whose: Filter = {"owner_id": owner_id, "listed": {"$in": [False, True]}, "status": RunStatus.AWAITING_INPUT}
    if below is not None:
        whose |= {"listed": False, "ancestors": below}
    return whose | {"deleting": {"$ne": True}}


def behind(match: Filter, place: tuple[datetime, str], sort: Sort) -> Filter:
    """Those that fit *match* and follow *place* in a list by last activity."""
    at, run_id = place
    operator = "$lt" if sort is LATEST_FIRST else "$gt"
    # The first bound lets an index begin there; `$or` alone would not.
    bound = {"updated_at": {f"{operator}e": at}}
    return {"$and": [match, bound, {"$or": [{"updated_at": {operator: at}}, {"_id": {operator: run_id}}]}]}


def stuck(owner_id: str | None, unchanged_for: timedelta, place: tuple[datetime, str] | None, limit: int) -> Pipeline:
    """Runs that nothing will move on, longest unchanged first; served by index runs_activity or runs_owner_activity.

    They are at work, have not changed for a while, and neither they nor what is under way below them has a live task;
    below them nobody is asked anything, and nothing has changed for that while. ``works`` of each has it and those.
    """
    quiet_since = from_now(-unchanged_for)
    match: Filter = {"listed": True, "status": {"$in": sorted(WORKING)}}
    if owner_id is not None:
        match["owner_id"] = owner_id
    if place is not None:
        match = behind(match, place, LONGEST_UNCHANGED_FIRST)
    awake = {
        "$or": [{"$eq": ["$$below.status", RunStatus.AWAITING_INPUT]}, {"$gt": ["$$below.updated_at", quiet_since]}]
    }
    causes = {"$filter": {"input": "$below", "as": "below", "cond": awake, "limit": 1}}
    return [
        {"$match": {"$and": [match, {"$expr": {"$lte": ["$updated_at", quiet_since]}}]}},
        {"$sort": dict(LONGEST_UNCHANGED_FIRST)},
        {"$graphLookup": _below()},
        {"$match": {"$expr": {"$eq": [{"$size": causes}, 0]}}},
        {"$set": {"works": {"$concatArrays": [["$_id"], "$below._id"]}}},
        {"$lookup": _live_task()},
        {"$match": {"live": []}},
        {"$limit": limit},
        {"$unset": ["below", "live"]},
    ]


def _below() -> dict[str, Any]:
    return {
        "from": collections.WORKFLOW_RUNS,
        "startWith": "$_id",
        "connectFromField": "_id",
        "connectToField": "parent_id",
        "as": "below",
        "maxDepth": DEEPEST,
        "restrictSearchWithMatch": {"status": {"$in": sorted(UNDER_WAY)}, "deleting": {"$ne": True}},
    }


def _live_task() -> dict[str, Any]:
    live = [{"$match": {"state": {"$in": sorted(LIVE_STATES)}}}, {"$limit": 1}, {"$project": {"_id": 1}}]
    return {
        "from": collections.TASKS,
        "localField": "works",
        "foreignField": "run_id",
        "pipeline": live,
        "as": "live",
    }


def stoppable_children(run_id: str) -> Filter:
    """The child runs of a cancelled run that can still be cancelled; served by index runs_parent."""
    final = [RunStatus.COMPLETED, RunStatus.ERROR, RunStatus.CANCELLED]
    return {"parent_id": run_id, "status": {"$nin": final}, "deleting": {"$ne": True}}
