"""Reads of a run over many collections in one round trip: the run, a line of history, and its newest snapshot."""

from __future__ import annotations

from typing import Any

from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline
from appdb._queries.workflow_runs import owned
from appdb._schema import collections


def run_on_line(run_id: str, owner_id: str, branch_id: str | None, seq: int | None, fold_version: int) -> Pipeline:
    """One run with ``branch`` and ``snapshot``, each a list of at most one.

    Served by the ids and by index snapshots_branch.

    Args:
        run_id: The run.
        owner_id: Its owner.
        branch_id: The branch that the line leads to; ``None`` for the current one.
        seq: The number of the last event that counts; ``None`` for the last one that the run counts.
        fold_version: The version of snapshots.
    """
    wanted: Any = "$branch_id" if branch_id is None else literal(branch_id)
    last: Any = {"$subtract": ["$event_count", 1]} if seq is None else literal(seq)
    return [
        {"$match": owned(run_id, owner_id)},
        {"$set": {"wanted": wanted}},
        {
            "$lookup": {
                "from": collections.BRANCHES,
                "localField": "wanted",
                "foreignField": "_id",
                "pipeline": [{"$match": {"run_id": run_id, "owner_id": owner_id, "deleting": {"$ne": True}}}],
                "as": "branch",
            }
        },
        {
            "$lookup": {
                "from": collections.SNAPSHOTS,
                "let": {"lineage": {"$first": "$branch.lineage"}, "last": last},
                "pipeline": [
                    # Chosen by what the index holds, and only the one that is chosen is read.
                    {"$match": {"run_id": run_id, "fold_version": fold_version}},
                    {"$project": {"_id": 0, "branch_id": 1, "seq": 1}},
                    # A field of its own, since the server would move an expression forward and read all for it.
                    {"$set": {"holds": _is_on_line()}},
                    {"$match": {"holds": True}},
                    {"$sort": {"seq": -1}},
                    {"$limit": 1},
                    _whole({"run_id": run_id, "owner_id": owner_id, "fold_version": fold_version}),
                    {"$unwind": "$whole"},
                    {"$replaceWith": "$whole"},
                ],
                "as": "snapshot",
            }
        },
    ]


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
