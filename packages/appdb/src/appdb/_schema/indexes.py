"""All indexes: one per access path, partial on the states that the path reads, declared in a module per subject."""

from __future__ import annotations

from appdb._schema import actors as registry
from appdb._schema import config
from appdb._schema import generated_content as content
from appdb._schema import limits as limit
from appdb._schema import option_usage as history
from appdb._schema import schedules as schedule
from appdb._schema import tasks as task
from appdb._schema import tokens as token
from appdb._schema import users as user
from appdb._schema import workflow_files as file
from appdb._schema import workflow_runs as run
from appdb._schema import workflow_versions as version

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
