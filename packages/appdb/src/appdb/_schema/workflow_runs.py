"""What runs, their events, branches, snapshots and versions are read by, and when snapshots disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

SNAPSHOT_RETENTION = timedelta(days=90)
"""A snapshot is made again when it is missed, so that one which was written while its run was deleted goes too."""

NEWEST_FIRST = (("created_at", -1), ("_id", -1))
LISTED = {"partialFilterExpression": {"listed": True}}

INDEXES = (
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_open",
        keys=(("owner_id", 1), ("project", 1)),
        options={"unique": True, "partialFilterExpression": {"open": True}},
    ),
    # What hosts of contract 3 list by: ids, which tell the time of the clock of whoever made them.
    Index(collection=collections.WORKFLOW_RUNS, name="runs_owner", keys=(("owner_id", 1), ("_id", -1)), options=LISTED),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_owner_status",
        keys=(("owner_id", 1), ("status", 1), ("_id", -1)),
        options=LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_owner_project",
        keys=(("owner_id", 1), ("project", 1), ("_id", -1)),
        options=LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_newest",
        keys=(("owner_id", 1), *NEWEST_FIRST),
        options=LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_status_newest",
        keys=(("owner_id", 1), ("status", 1), *NEWEST_FIRST),
        options=LISTED,
    ),
    Index(
        collection=collections.WORKFLOW_RUNS,
        name="runs_project_newest",
        keys=(("owner_id", 1), ("project", 1), *NEWEST_FIRST),
        options=LISTED,
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
    Index(collection=collections.EVENTS, name="events_log", keys=(("run_id", 1), ("seq", 1)), options={"unique": True}),
    Index(collection=collections.EVENTS, name="events_branch", keys=(("run_id", 1), ("branch_id", 1), ("seq", 1))),
    Index(
        collection=collections.EVENTS,
        name="events_type",
        keys=(("run_id", 1), ("branch_id", 1), ("type", 1), ("seq", 1)),
    ),
    Index(
        collection=collections.EVENTS,
        name="events_module",
        keys=(("run_id", 1), ("branch_id", 1), ("module", 1), ("seq", 1)),
        options={"partialFilterExpression": {"module": TEXT}},
    ),
    Index(
        collection=collections.EVENTS,
        name="events_step",
        keys=(("run_id", 1), ("branch_id", 1), ("step", 1), ("seq", 1)),
        options={"partialFilterExpression": {"step": TEXT}},
    ),
    Index(
        collection=collections.EVENTS,
        name="events_interaction",
        keys=(("run_id", 1), ("interaction_id", 1), ("seq", 1)),
        options={"partialFilterExpression": {"interaction_id": TEXT}},
    ),
    Index(collection=collections.BRANCHES, name="branches_newest", keys=(("run_id", 1), *NEWEST_FIRST)),
    Index(collection=collections.BRANCHES, name="branches_run", keys=(("run_id", 1), ("_id", -1))),
    Index(
        collection=collections.BRANCHES,
        name="branches_deleting",
        keys=(("deleting", 1), ("_id", 1)),
        options={"partialFilterExpression": {"deleting": True}},
    ),
    Index(collection=collections.BRANCHES, name="branches_lineage", keys=(("run_id", 1), ("lineage.branch_id", 1))),
    Index(
        collection=collections.SNAPSHOTS,
        name="snapshots_branch",
        keys=(("run_id", 1), ("branch_id", 1), ("fold_version", 1), ("seq", 1)),
    ),
    Index(
        collection=collections.SNAPSHOTS,
        name="snapshots_expire",
        keys=(("created_at", 1),),
        options={"expireAfterSeconds": int(SNAPSHOT_RETENTION.total_seconds())},
    ),
    Index(collection=collections.RUN_VERSIONS, name="run_versions_newest", keys=(("run_id", 1), *NEWEST_FIRST)),
    Index(collection=collections.RUN_VERSIONS, name="run_versions_run", keys=(("run_id", 1), ("_id", -1))),
)
