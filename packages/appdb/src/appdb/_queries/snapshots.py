"""Queries and updates of ``snapshots``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Projection

SEQ_ALONE: Projection = {"seq": 1, "_id": 0}
"""What the index holds, so that no snapshot is read."""


def of_fold(run_id: str, branch_id: str, fold_version: int) -> Filter:
    """The snapshots of a branch that one version of the fold has made; served by index snapshots_branch."""
    return {"run_id": run_id, "branch_id": branch_id, "fold_version": fold_version}


def at(seqs: Collection[int]) -> Filter:
    """Snapshots of the events with these numbers, joined with ``of_fold``."""
    return {"seq": {"$in": list(seqs)}}


def snapshot(fields: Mapping[str, Any]) -> Pipeline:
    """Store a snapshot, timed by the server."""
    return [{"$set": {name: literal(value) for name, value in fields.items()} | {"created_at": NOW}}]
