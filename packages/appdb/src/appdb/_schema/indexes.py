"""All indexes: one per access path, partial on the states that the path reads, declared in a module per subject."""

from __future__ import annotations

from appdb._schema import content, limit, registry, run, schedule, task, user

INDEXES = (
    *task.INDEXES,
    *limit.INDEXES,
    *content.INDEXES,
    *user.INDEXES,
    *registry.INDEXES,
    *schedule.INDEXES,
    *run.INDEXES,
)
