"""Reads of a run over many collections in one round trip: the run, a line of history, and what its state is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appdb._queries.expressions import array, literal
from appdb._queries.types import Filter, Pipeline
from appdb._queries.workflow_runs import owned
from appdb._schema import collections
from appdb.models.bounds import LARGEST
from appdb.models.events import RunEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEnd:
    """The event that a line of history ends with.

    Args:
        run_id: The run.
        owner_id: Its owner.
        branch_id: The branch that the line leads to; ``None`` for the current one.
        seq: The number of the event; ``None`` for the last one that the run counts, on the current branch.
    """

    run_id: str
    owner_id: str
    branch_id: str | None = None
    seq: int | None = None

    @classmethod
    def of(cls, event: RunEvent) -> LineEnd:
        """Return where the line of history up to *event* ends."""
        return cls(run_id=event.run_id, owner_id=event.owner_id, branch_id=event.branch_id, seq=event.seq)


def run_on_line(end: LineEnd, *, fold_version: int, page: int, anywhere: bool = False, whole: bool = False) -> Pipeline:
    """One run with a line of its history, the newest snapshot on it, and the events that its state is made of.

    The first row has ``head``: the ``run``, the ``branch`` with that line unless there is none, and the ``snapshot`` if
    there is one. Each row may have an ``event``: one that the snapshot names, or one of the first page behind it.
    Served by the ids and by indexes snapshots_branch and events_log.

    Args:
        end: The event that the line ends with.
        fold_version: The version of snapshots.
        page: How many events behind the snapshot.
        anywhere: Whether to look for the snapshot on all branches of the line. Else on the one with the last event
            alone, and where that has none and others lie before it, no events come.
        whole: Whether the line has all parts; else only those behind the snapshot.
    """
    match: Filter = {"run_id": end.run_id, "owner_id": end.owner_id}
    # Runs count no further than that, and `$range` would fail on more.
    last = None if end.seq is None else literal(min(end.seq, LARGEST - page - 1))
    return [
        {"$match": owned(end.run_id, end.owner_id)},
        {
            "$replaceWith": {
                "run": "$$ROOT",
                "branch_id": "$branch_id" if end.branch_id is None else literal(end.branch_id),
                "last": last or {"$subtract": ["$event_count", 1]},
            }
        },
        _lookup(collections.BRANCHES, ("branch_id", "_id"), "branch", {"last": "$last"}, _branch(match)),
        {"$set": {"branch": {"$first": "$branch"}, "part": {"$last": {"$first": "$branch.lineage"}}}},
        _newest_on_line(match, fold_version) if anywhere else _newest_of_branch(match, fold_version),
        {"$set": {"after": {"$ifNull": [{"$first": "$snapshot.seq"}, -1]}}},
        {"$set": {"behind": _parts_behind() if anywhere else _part_behind()}},
        {"$set": {"numbers": {"$concatArrays": [_numbers_named(), _numbers_behind(page)]}}},
        _lookup(collections.EVENTS, ("numbers", "seq"), "event", {}, [{"$match": match}]),
        # Together with the lookup, so that the events pass one by one and need not fit into one document.
        {"$unwind": {"path": "$event", "includeArrayIndex": "place", "preserveNullAndEmptyArrays": True}},
        {"$project": {"_id": 0, "event": 1, "head": _only_first(whole=whole)}},
    ]


def _lookup(
    source: str, fields: tuple[str, str], name: str, variables: dict[str, str], pipeline: Pipeline
) -> dict[str, Any]:
    """Look up what *pipeline* leaves of the documents of *source* that agree in *fields*: ours, and theirs."""
    local, foreign = fields
    found: dict[str, Any] = {"from": source, "localField": local, "foreignField": foreign, "as": name}
    return {"$lookup": found | {"let": variables, "pipeline": pipeline}}


def _branch(match: Filter) -> Pipeline:
    """A branch that is not being deleted, its line of history without the parts that begin behind ``last``."""
    begun = {"$filter": {"input": array("$lineage"), "as": "part", "cond": {"$lte": ["$$part.first_seq", "$$last"]}}}
    return [{"$match": match | {"deleting": {"$ne": True}}}, {"$set": {"lineage": begun}}]


def _newest_of_branch(match: Filter, fold_version: int) -> dict[str, Any]:
    """Look up the newest snapshot of the branch that the line ends with; every fork leaves one at its beginning."""
    until = {"fold_version": fold_version, "$expr": {"$lte": ["$seq", "$$last"]}}
    newest: Pipeline = [{"$match": match | until}, {"$sort": {"seq": -1}}, {"$limit": 1}]
    return _lookup(collections.SNAPSHOTS, ("part.branch_id", "branch_id"), "snapshot", {"last": "$last"}, newest)


def _newest_on_line(match: Filter, fold_version: int) -> dict[str, Any]:
    """Look up the newest snapshot of any branch of the line."""
    newest: Pipeline = [
        # Chosen by what the index holds, and only the one that is chosen is read.
        {"$match": {"fold_version": fold_version}},
        {"$project": {"_id": 0, "branch_id": 1, "seq": 1}},
        # A field of its own, since the server would move an expression forward and read all for it.
        {"$set": {"holds": _is_on_line()}},
        {"$match": {"holds": True}},
        {"$sort": {"seq": -1}},
        {"$limit": 1},
        _whole(match | {"fold_version": fold_version}),
        {"$unwind": "$whole"},
        {"$replaceWith": "$whole"},
    ]
    variables = {"lineage": "$branch.lineage", "last": "$last"}
    return _lookup(collections.SNAPSHOTS, ("run._id", "run_id"), "snapshot", variables, newest)


def _whole(match: Filter) -> dict[str, Any]:
    """Look up the snapshot of one branch and number."""
    same = {"$and": [{"$eq": ["$branch_id", "$$branch"]}, {"$eq": ["$seq", "$$at"]}]}
    return {
        "$lookup": {
            "from": collections.SNAPSHOTS,
            "let": {"branch": "$branch_id", "at": "$seq"},
            "pipeline": [{"$match": {**match, "$expr": same}}],
            "as": "whole",
        }
    }


def _is_on_line() -> dict[str, Any]:
    """Say whether a snapshot holds for a line of history, of the variable ``lineage`` and up to ``last``."""
    # Lines may have hundreds of parts: the part is found by its place, not by looking into each.
    place = {"$indexOfArray": ["$$lineage.branch_id", "$branch_id"]}
    # A part without a cutoff ends with the line; `$min` passes over what is null.
    until = {"$min": ["$$part.cutoff_seq", "$$last"]}
    holds = {
        "$and": [
            # Of a branch that is not on the line the place is -1, which is the last one.
            {"$eq": ["$$part.branch_id", "$branch_id"]},
            {"$gte": ["$seq", "$$part.first_seq"]},
            {"$lte": ["$seq", until]},
        ]
    }
    return {"$let": {"vars": {"part": {"$arrayElemAt": ["$$lineage", place]}}, "in": holds}}


def _part_behind() -> dict[str, Any]:
    """Return the line's last part alone where its snapshot is of that, or it has no other; else nothing."""
    alone = {"$eq": [{"$size": array("$branch.lineage")}, 1]}
    return {"$cond": [{"$or": [{"$gte": ["$after", 0]}, alone]}, ["$part"], []]}


def _parts_behind() -> dict[str, Any]:
    """Return the line's parts with events behind the snapshot."""
    behind = {"$gt": [{"$ifNull": ["$$part.cutoff_seq", "$last"]}, "$after"]}
    return {"$filter": {"input": array("$branch.lineage"), "as": "part", "cond": behind}}


def _numbers_named() -> dict[str, Any]:
    """Return the numbers of the events that the snapshot names."""
    return {"$let": {"vars": {"named": {"$first": "$snapshot.state.events"}}, "in": array("$$named")}}


def _numbers_behind(page: int) -> dict[str, Any]:
    """Return the numbers of the first *page* events behind the snapshot."""
    first = {"$max": ["$$this.first_seq", {"$add": ["$after", 1]}]}
    until = {"$min": ["$$this.cutoff_seq", "$last", {"$add": ["$$first", page - 1]}]}
    numbers = {"$let": {"vars": {"first": first}, "in": {"$range": ["$$first", {"$add": [until, 1]}]}}}
    longer = {"$slice": [{"$concatArrays": ["$$value", numbers]}, page]}
    full = {"$gte": [{"$size": "$$value"}, page]}
    return {"$reduce": {"input": "$behind", "initialValue": [], "in": {"$cond": [full, "$$value", longer]}}}


def _only_first(*, whole: bool) -> dict[str, Any]:
    """Return what all rows have in common, for the first one alone."""
    all_parts = True if whole else {"$eq": ["$behind", []]}
    lineage = {"$cond": [all_parts, "$branch.lineage", "$behind"]}
    branch = {"$cond": ["$branch", {"$mergeObjects": ["$branch", {"lineage": lineage}]}, "$$REMOVE"]}
    head = {"run": "$run", "branch": branch, "snapshot": {"$first": "$snapshot"}}
    # Of a row without an event the place is null, which the server sorts before all numbers.
    return {"$cond": [{"$lte": ["$place", 0]}, head, "$$REMOVE"]}
