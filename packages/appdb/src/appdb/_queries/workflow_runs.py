"""Queries and updates of ``workflow_runs``.

A run is the lock of its event log: who writes to the log also writes to the run, so that writers come one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from appdb._queries.clock import NOW, changed_now, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Sort, Update
from appdb._schema import collections
from appdb.models.workflow_runs import CLOSED_STATUSES, OPEN_STATUSES, NewRun, Position, RunStatus
from appdb.models.workflow_templates import GLOBAL_OWNER

LONGEST_DELETED: Sort = [("deleted_at", 1), ("_id", 1)]
FIRST_WAITING: Sort = [("waiting_number", 1)]
LAST_WAITING: Sort = [("waiting_number", -1)]
# Derived in the same write as the position, so that a crash cannot leave the two at odds (decision 0008).
_STATUS = {
    "$switch": {
        "branches": [
            {"case": {"$ifNull": ["$position.ended", False]}, "then": "$position.ended"},
            {"case": {"$ifNull": ["$position.waiting", False]}, "then": RunStatus.WAITING},
            {"case": {"$ifNull": ["$position.interaction_id", False]}, "then": RunStatus.AWAITING_INPUT},
            {"case": "$position.started", "then": RunStatus.PROCESSING},
        ],
        "default": RunStatus.CREATED,
    }
}
_IS_OPEN = {
    "$and": [
        {"$in": ["$status", sorted(OPEN_STATUSES)]},
        {"$eq": [{"$ifNull": ["$parent_id", None]}, None]},
        {"$ne": ["$deleting", True]},
    ]
}
# What is asked again on another branch is asked anew; what stays pending keeps its time.
_QUESTION = {
    "$switch": {
        "branches": [
            {"case": {"$not": [{"$ifNull": ["$position.interaction_id", False]}]}, "then": None},
            {"case": {"$eq": ["$question.interaction_id", "$position.interaction_id"]}, "then": "$question"},
        ],
        "default": {
            "interaction_id": "$position.interaction_id",
            "since": NOW,
            # An update shows what it changed, and nothing else of the run: without these, a follower of a run above
            # would have to look for the questions below it again and again.
            "above": {"$ifNull": ["$ancestors", []]},
        },
    }
}
# By whichever way a run is cancelled: until somebody has looked after its tasks and children, that is due.
_CANCELLING = {"$cond": [{"$eq": ["$status", RunStatus.CANCELLED]}, {"$ifNull": ["$cancelling", True]}, None]}
_COMPLETED_AT = {"$cond": [{"$in": ["$status", sorted(CLOSED_STATUSES)]}, {"$ifNull": ["$completed_at", NOW]}, None]}


def _derived() -> Pipeline:
    """What follows from a run's position, and so can never disagree with it."""
    follows = {"open": _IS_OPEN, "completed_at": _COMPLETED_AT, "question": _QUESTION, "cancelling": _CANCELLING}
    return [{"$set": {"status": _STATUS}}, {"$set": follows}]


def owned(run_id: str, owner_id: str) -> Filter:
    """One run of one owner, unless it is being deleted."""
    return {"_id": run_id, "owner_id": owner_id, "deleting": {"$ne": True}}


def there(run_ids: Collection[str]) -> Filter:
    """Runs of anybody, unless they are being deleted."""
    return {"_id": {"$in": list(run_ids)}, "deleting": {"$ne": True}}


def on_branch(run_id: str, owner_id: str, branch_id: str | None) -> Filter:
    """One run of one owner, while its events go to this branch; ``None`` for any."""
    return owned(run_id, owner_id) | ({} if branch_id is None else {"branch_id": branch_id})


def of_other_version(run_id: str, owner_id: str, version_id: str) -> Filter:
    """One run of one owner, unless it follows this version already."""
    return owned(run_id, owner_id) | {"version_id": {"$ne": version_id}}


def ready(
    *,
    expected_seq: int | None = None,
    updated_at: datetime | None = None,
    ended: Collection[RunStatus | None] | None = None,
    interaction_id: str | None = None,
    free: bool = False,
    in_step: bool = False,
) -> Filter:
    """A run while events can be appended to it, joined with ``on_branch``; see ``Preconditions`` and ``KnownRun``."""
    match: Filter = {}
    if expected_seq is not None:
        match["event_count"] = expected_seq
    if updated_at is not None:
        match["updated_at"] = updated_at
    if ended is not None:
        match["position.ended"] = {"$in": list(ended)}
    if interaction_id is not None:
        match["position.interaction_id"] = interaction_id
    elif free:
        match["position.interaction_id"] = None
    if in_step:
        match["position.step"] = {"$ne": None}
    return match


def open_of(owner_id: str, project: str) -> Filter:
    """The run that an owner's next visit to a project goes on with; served by index runs_open."""
    return {"owner_id": owner_id, "project": project, "open": True}


def made_or_open(run_id: str, owner_id: str, project: str | None) -> Filter:
    """One run of anybody by its id, and the one of ``open_of``; without a project, that by its id alone."""
    made: Filter = {"_id": run_id}
    return made if project is None else {"$or": [made, open_of(owner_id, project)]}


def waiting_in(owner_id: str, project: str) -> Filter:
    """The runs of a project that wait for those before them; served by index runs_waiting."""
    return {"owner_id": owner_id, "project": project, "status": RunStatus.WAITING, "deleting": {"$ne": True}}


def stranded(for_longer_than: timedelta, limit: int) -> Pipeline:
    """The owners and projects whose runs wait for nothing, since no run is open; served by index runs_waiting."""
    same = [{"$eq": ["$owner_id", "$$owner"]}, {"$eq": ["$project", "$$project"]}]
    return [
        {"$match": {"status": RunStatus.WAITING, "deleting": {"$ne": True}}},
        {"$group": {"_id": {"owner_id": "$owner_id", "project": "$project"}, "since": {"$min": "$updated_at"}}},
        {"$match": {"$expr": {"$lte": ["$since", from_now(-for_longer_than)]}}},
        {
            "$lookup": {
                "from": collections.WORKFLOW_RUNS,
                "let": {"owner": "$_id.owner_id", "project": "$_id.project"},
                "pipeline": [{"$match": {"open": True, "$expr": {"$and": same}}}, {"$project": {"_id": 1}}],
                "as": "open",
            }
        },
        {"$match": {"open": []}},
        {"$limit": limit},
    ]


def cancelled(run_id: str) -> Filter:
    """One run whose tasks and child runs may still have to be cancelled."""
    return {"_id": run_id, "status": RunStatus.CANCELLED, "cancelling": True}


def cancelling(for_longer_than: timedelta) -> Filter:
    """Runs whose cancel was cut off, if it began so long ago; served by index runs_cancelling."""
    return {"cancelling": True, "$expr": {"$lte": ["$updated_at", from_now(-for_longer_than)]}}


def all_stopped() -> Update:
    """Note that nothing of a cancelled run has to be cancelled any more."""
    return {"$set": {"cancelling": False}}


def children(run_id: str, **about: Any) -> Filter:
    """The runs that do sub-actions of a run; served by index runs_parent."""
    return {"parent_id": run_id, **about}


def children_of(run_ids: Collection[str]) -> Filter:
    """The runs that do sub-actions of some runs; served by index runs_parent."""
    return {"parent_id": {"$in": sorted(run_ids)}}


def visible_children(run_id: str, owner_id: str) -> Filter:
    """The owner's runs that do sub-actions of a run and are not being deleted; served by index runs_parent."""
    return children(run_id, owner_id=owner_id, deleting={"$ne": True})


def deletable(run_id: str, owner_id: str) -> Filter:
    """One run of one owner, unless nothing but the mark of its deletion is left."""
    return {"_id": run_id, "owner_id": owner_id, "deleted_at": None}


def deleting(deleted_before: datetime) -> Filter:
    """Runs whose deletion was cut off, and marks that have stayed long enough; served by index runs_deleted."""
    return {"deleting": True, "deleted_at": {"$not": {"$gt": deleted_before}}}


def insert(
    new: NewRun,
    owner_id: str,
    template_id: str | None,
    ancestors: Sequence[str],
    count: int,
    position: Position,
    waits: Mapping[str, Any],
) -> tuple[Filter, Pipeline]:
    """Upsert a new run with its first *count* events counted; where its id is taken, the unique key refuses it.

    *waits* is its ``waiting_number`` and ``on_begin`` where it waits, else nothing.
    """
    fields = {
        "_id": new.run_id,
        "owner_id": owner_id,
        "project": new.project,
        "template_id": template_id,
        "version_id": new.version_id,
        "branch_id": new.branch_id,
        "parent_id": new.parent_id,
        "ancestors": list(ancestors),
        "listed": new.parent_id is None,
        "position": position.model_dump(),
        "event_count": count,
        **waits,
    }
    fresh = {"$mergeObjects": [literal(fields), {"created_at": NOW, "updated_at": NOW}]}
    return {"_id": new.run_id, "owner_id": {"$exists": False}}, [{"$replaceWith": fresh}, *_derived()]


def lock_write() -> Pipeline:
    """Lock the run: whatever else writes to the run in a transaction comes before or after this one."""
    return [{"$set": {"touched_at": changed_now("touched_at")}}]


def advance(count: int, changes: Mapping[str, Any]) -> Pipeline:
    """Count *count* more events, which change the position so."""
    position = {f"position.{name}": literal(value) for name, value in changes.items()}
    counted = {"event_count": {"$add": ["$event_count", count]}, "updated_at": NOW}
    return [{"$set": counted | position}, *_derived()]


def move_to_branch(branch_id: str, event_count: int, position: Position) -> Pipeline:
    """Let a run's events go to another branch, where it is at *position*."""
    changes = {"branch_id": literal(branch_id), "event_count": event_count, "updated_at": NOW}
    return [{"$set": changes | {"position": literal(position.model_dump())}}, *_derived()]


def rebuild(event_count: int, position: Position) -> Pipeline:
    """Set the caches of a run to what its events say."""
    changes = {"event_count": event_count, "updated_at": NOW, "position": literal(position.model_dump())}
    return [{"$set": changes}, *_derived()]


def follow_version(version_id: str) -> Pipeline:
    """Let a run follow another version."""
    return [{"$set": {"version_id": literal(version_id), "updated_at": NOW}}]


def begin_deletion() -> Pipeline:
    """Begin a run's deletion: nobody sees it any more, and nothing is written to it."""
    # The mark decides everything at once; the rest of a deletion only frees space (decision 0013).
    return [{"$set": {"deleting": True, "open": False, "listed": False, "updated_at": NOW}}]


def leave_mark() -> Pipeline:
    """Leave nothing of a run but the mark that it was deleted, and when."""
    # Late writers look for the run before and after their write, and find this mark (decision 0016).
    return [{"$replaceWith": {"_id": "$_id", "owner_id": "$owner_id", "deleting": True, "deleted_at": NOW}}]


def runs_of(template_id: str, owner_id: str) -> Filter:
    """The runs of an owner's template that keep it, in ``workflow_runs``; served by index runs_template.

    Everybody may run a global one. A private one is its owner's alone, whatever an older release has let others open.
    """
    whose = {} if owner_id == GLOBAL_OWNER else {"owner_id": owner_id}
    return {"template_id": template_id, "deleting": {"$ne": True}, **whose}
