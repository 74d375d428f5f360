"""All indexes: one per access path, partial on the states that the path reads, declared in a module per subject."""

from __future__ import annotations

from appdb._schema import config, content, file, history, limit, registry, run, schedule, task, token, user, version

INDEXES = (
    *task.INDEXES,
    *limit.INDEXES,
    *content.INDEXES,
    *user.INDEXES,
    *registry.INDEXES,
    *schedule.INDEXES,
    *config.INDEXES,
    *history.INDEXES,
    *version.INDEXES,
    *file.INDEXES,
    *token.INDEXES,
    *run.INDEXES,
)
