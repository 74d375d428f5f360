"""Indexes of ``workflow_runs``: the open run of a project, the lists of owners, and deletions."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, TEXT, Index

LATEST_FIRST = (("updated_at", -1), ("_id", -1))
_LISTED = {"partialFilterExpression": {"listed": True}}

INDEXES = (
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_open",
        keys=(("owner_id", 1), ("project", 1)),
        options={"unique": True, "partialFilterExpression": {"open": True}},
    ),
    # Who waits in a project, in order; and the projects in which anybody waits.
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_waiting",
        keys=(("status", 1), ("owner_id", 1), ("project", 1), ("waiting_number", 1)),
        options={"partialFilterExpression": {"status": "waiting"}},
    ),
    # What hosts of contract 3 list by: ids, which tell the time of the clock of whoever made them.
    Index(
        collection=collections.WORKFLOW_RUNS, name="runs_owner", keys=(("owner_id", 1), ("_id", -1)), options=_LISTED
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_owner_status",
        keys=(("owner_id", 1), ("status", 1), ("_id", -1)),
        options=_LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_owner_project",
        keys=(("owner_id", 1), ("project", 1), ("_id", -1)),
        options=_LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_newest",
        keys=(("owner_id", 1), *NEWEST_FIRST),
        options=_LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_status_newest",
        keys=(("owner_id", 1), ("status", 1), *NEWEST_FIRST),
        options=_LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_project_newest",
        keys=(("owner_id", 1), ("project", 1), *NEWEST_FIRST),
        options=_LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_template_newest",
        keys=(("owner_id", 1), ("template_id", 1), *NEWEST_FIRST),
        options=_LISTED,
    ),
    # Lists of all statuses too: the server merges the statuses, each in its order. Runs that do sub-actions are in it,
    # since they too ask their owner something.
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_owner_activity",
        keys=(("owner_id", 1), ("listed", 1), ("status", 1), *LATEST_FIRST),
    ),
    Index(
        collection=collections.WORKFLOW_RUNS, name="runs_activity", keys=(("status", 1), *LATEST_FIRST), options=_LISTED
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_cancelling",
        keys=(("updated_at", 1),),
        options={"partialFilterExpression": {"cancelling": True}},
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_parent",
        keys=(("parent_id", 1), ("_id", 1)),
        options={"partialFilterExpression": {"parent_id": TEXT}},
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_deleting",
        keys=(("deleting", 1), ("_id", 1)),
        options={"partialFilterExpression": {"deleting": True}},
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_deleted",
        keys=(("deleted_at", 1), ("_id", 1)),
        options={"partialFilterExpression": {"deleting": True}},
    ),
    # Whether anything runs a template, before it is deleted.
    Index(collection=collections.WORKFLOW_RUNS, name="runs_template", keys=(("template_id", 1),)),
)
