"""Updates of ``tasks`` that write for many attempts at once: all that append events, and all that complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries import task_events as log
from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Pipeline
from appdb.models.tasks import LABELS, TaskState

# A statement for many tasks only says how many it changed, so a look afterwards tells which.
WRITTEN_FIELDS = dict.fromkeys(
    [
        "commit",
        "settled",
        "state",
        "event_count",
        "lease",
        "attached",
        "updated_at",
        "has_content",
        "error",
        "parent_id",
        "owner_id",
        "then",
        "on_end",
        *LABELS,
        "ancestor_runs",
    ],
    1,
)
"""What is looked at to learn what became of a write."""


def append_events(writes: Sequence[Mapping[str, Any]], mark: str) -> Pipeline:
    """Append each task's events, show its progress, and leave the commit's *mark*.

    Args:
        writes: For each task ``task_id``, ``events`` and ``progress`` or ``None``.
        mark: What tells later which tasks this very commit has written.
    """
    return _written(writes, mark, {})


def complete(writes: Sequence[Mapping[str, Any]], mark: str) -> Pipeline:
    """Do what ``append_events`` does, and end each task as completed with its ``result``."""
    ended = {
        "state": TaskState.COMPLETED,
        "lease": None,
        "result": "$mine.result",
        "error": None,
        "finished_at": NOW,
        "settled": {"token": "$lease.token", "kind": TaskState.COMPLETED},
    }
    return _written(writes, mark, ended)


def _written(writes: Sequence[Mapping[str, Any]], mark: str, changes: Mapping[str, Any]) -> Pipeline:
    recorded = log.appended("$mine.events") | {
        "progress": {"$ifNull": ["$mine.progress", "$progress"]},
        "updated_at": NOW,
        "commit": literal(mark),
    }
    return [{"$set": {"mine": _mine(writes)}}, {"$set": recorded | dict(changes)}, {"$unset": "mine"}]


def _mine(writes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the expression for what is written to the task at hand; the server looks it up in one step."""
    # One statement for many attempts: the server computes less for each task of a larger batch (decision 0014).
    ids = literal([write["task_id"] for write in writes])
    return {"$arrayElemAt": [literal([dict(write) for write in writes]), {"$indexOfArray": [ids, "$_id"]}]}
