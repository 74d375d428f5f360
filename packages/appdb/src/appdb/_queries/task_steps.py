"""Queries and updates of ``task_steps``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appdb._queries.types import Filter


def by_id(step_id: str) -> Filter:
    """One finished step."""
    return {"_id": step_id}


def of_tasks(task_ids: Sequence[Any]) -> Filter:
    """The finished steps of some tasks; served by index task_steps_task."""
    return {"task_id": {"$in": list(task_ids)}}
