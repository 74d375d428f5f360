"""Create the indexes of lists by time and by label, of deletions under way, and of limits that are full again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appdb._schema.indexes import INDEXES
from appdb.migrations._released import Contract

if TYPE_CHECKING:
    from appdb.database import Database
    from appdb.migrations._steps import Steps

CONTRACT = Contract(newest=4, oldest=2)

ADDED = frozenset(
    {
        "answer_drafts_purge",
        "answer_drafts_run",
        "answer_links_purge",
        "answer_links_run",
        "branches_deleting",
        "branches_newest",
        "budgets_run",
        "limits_full",
        "run_versions_newest",
        "runs_activity",
        "runs_cancelling",
        "runs_deleted",
        "runs_newest",
        "runs_owner_activity",
        "runs_project_newest",
        "runs_status_newest",
        "runs_template_newest",
        "runs_waiting",
        "tasks_interaction",
        "tasks_labels",
        "tasks_newest",
        "tasks_owner_state_newest",
        "tasks_reserving",
    }
)
"""The indexes that contract 3 does not know."""


async def up(_: Database, steps: Steps) -> None:
    """Create every declared index that is missing; what hosts of contracts 2 and 3 read by stays."""
    await steps.add_indexes("indexes", INDEXES)


async def down(_: Database, steps: Steps) -> None:
    """Drop what contract 3 does not know; no document is touched."""
    await steps.drop_indexes("indexes", [(row.collection, row.name) for row in INDEXES if row.name in ADDED])
