"""Indexes of ``task_steps``: the finished steps of a task."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (Index(collection=collections.TASK_STEPS, name="task_steps_task", keys=(("task_id", 1),)),)
