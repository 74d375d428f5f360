"""Queries and updates of ``branches``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.paging import older_than
from appdb._queries.types import Filter, Update


def owned(branch_id: str, owner_id: str) -> Filter:
    """One branch of one owner, unless it is being deleted."""
    return {"_id": branch_id, "owner_id": owner_id, "deleting": {"$ne": True}}


def of_run(run_id: str, owner_id: str, branch_id: str) -> Filter:
    """One branch of a run."""
    return owned(branch_id, owner_id) | {"run_id": run_id}


def page(run_id: str, owner_id: str, last: Mapping[str, Any] | None) -> Filter:
    """Branches of a run, older than *last*; served by index branches_newest."""
    match: Filter = {"run_id": run_id, "owner_id": owner_id, "deleting": {"$ne": True}}
    return match if last is None else match | older_than(last)


def deleting() -> Filter:
    """Branches whose deletion was cut off; served by index branches_deleting."""
    return {"deleting": True}


def built_on(run_id: str, branch_id: str) -> Filter:
    """Branches whose line of history goes over another one; served by index branches_lineage."""
    return {"run_id": run_id, "lineage.branch_id": branch_id, "_id": {"$ne": branch_id}}


def begin_deletion() -> Update:
    """Hide a branch until its events and snapshots are deleted."""
    return {"$set": {"deleting": True}}
