"""Queries and updates of ``snapshots``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline
from appdb.models.branches import BranchSegment


def snapshots(run_id: str, owner_id: str, lineage: Sequence[BranchSegment], fold_version: int) -> Filter:
    """The snapshots that hold for a line of history; served by index snapshots_branch."""
    clauses = [
        {
            "run_id": run_id,
            "branch_id": part.branch_id,
            "fold_version": fold_version,
            "seq": {"$gte": part.first_seq} | ({} if part.cutoff_seq is None else {"$lte": part.cutoff_seq}),
        }
        for part in lineage
    ]
    return {"owner_id": owner_id} | (clauses[0] if len(clauses) == 1 else {"$or": clauses})


def snapshot(fields: Mapping[str, Any]) -> Pipeline:
    """Store a snapshot, timed by the server."""
    return [{"$set": {name: literal(value) for name, value in fields.items()} | {"created_at": NOW}}]
