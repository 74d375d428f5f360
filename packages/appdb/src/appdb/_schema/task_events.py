"""Indexes of ``task_events``: the log of a task."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.TASK_EVENTS,
        name="task_events_log",
        keys=(("task_id", 1), ("seq", 1)),
        options={"unique": True},
    ),
)
