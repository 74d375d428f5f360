"""Queries of ``workflow_run_versions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.paging import older_than
from appdb._queries.types import Filter


def page(run_id: str, owner_id: str, last: Mapping[str, Any] | None) -> Filter:
    """Entries of a run's version history, older than *last*; served by index run_versions_newest."""
    match: Filter = {"run_id": run_id, "owner_id": owner_id}
    return match if last is None else match | older_than(last)
