"""Queries of ``events``: by line of history, by type, by module, by number."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appdb._queries.types import Filter, Sort
from appdb.events import DbEventType
from appdb.models.branches import BranchSegment
from appdb.models.events import EventFilter

OLDEST_FIRST: Sort = [("seq", 1)]
NEWEST_FIRST: Sort = [("seq", -1)]
ALL = EventFilter()


def owned(event_id: str, owner_id: str) -> Filter:
    """One event of one owner."""
    return {"_id": event_id, "owner_id": owner_id}


def log(run_id: str, owner_id: str, after: int) -> Filter:
    """A run's events of all branches above a number; served by index events_log."""
    return {"run_id": run_id, "owner_id": owner_id, "seq": {"$gt": after}}


def numbered(run_id: str, owner_id: str, seq: int) -> Filter:
    """One event by its number; served by index events_log."""
    return {"run_id": run_id, "owner_id": owner_id, "seq": seq}


def by_ids(run_id: str, owner_id: str, event_ids: Collection[str]) -> Filter:
    """Events of a run by id."""
    return {"_id": {"$in": list(event_ids)}, "run_id": run_id, "owner_id": owner_id}


def of_branch(run_id: str, branch_id: str) -> Filter:
    """The events or snapshots of one branch; served by index events_branch or snapshots_branch."""
    return {"run_id": run_id, "branch_id": branch_id}


def of_interactions(
    run_id: str, owner_id: str, interaction_ids: Collection[str], types: Collection[DbEventType]
) -> Filter:
    """The events of some types about interactions, on any branch; served by index events_interaction."""
    return {
        "run_id": run_id,
        "owner_id": owner_id,
        "interaction_id": {"$in": list(interaction_ids)} if len(interaction_ids) != 1 else next(iter(interaction_ids)),
        "type": {"$in": sorted(types)},
    }


def requests(asked: Collection[tuple[str, str]], owner_id: str) -> Filter:
    """The events that ask these interactions, each with its run, on any branch; served by index events_interaction."""
    return {
        "run_id": {"$in": sorted({run_id for run_id, _ in asked})},
        "interaction_id": {"$in": sorted({interaction_id for _, interaction_id in asked})},
        "owner_id": owner_id,
        "type": DbEventType.INTERACTION_REQUESTED,
    }


def on_lineage(
    run_id: str, owner_id: str, lineage: Sequence[BranchSegment], wanted: EventFilter = ALL
) -> Filter | None:
    """Events of a line of history; ``None`` when there can be none.

    A clause for each branch, and for each type that is asked for, so that every clause is one range of an index in
    the order of the numbers, and the server merges them without sorting. Each clause says all and nothing stands beside
    them, which lets the server choose for each by itself: one of the indexes events_branch, events_type, events_module,
    events_step and events_log, and another one where that is missing.
    """
    parts = [part for part in lineage if _overlaps(part, wanted)]
    by_type = bool(wanted.types) and wanted.module is None
    common: Filter = {"run_id": run_id}
    # The owner is in no index of a branch: a run has one owner, so the filter leaves nothing out.
    residual: Filter = {"owner_id": owner_id}
    if wanted.module is not None:
        common["module"] = wanted.module
        residual |= {"type": {"$in": sorted(wanted.types)}} if wanted.types else {}
    if wanted.without:
        residual["type"] = {"$nin": sorted(wanted.without)}
    if wanted.step is not None:
        # Beside a module or types it is looked at, not searched by: few steps have modules of one name.
        (residual if wanted.types or wanted.module is not None else common)["step"] = wanted.step
    clauses = [
        common | {"branch_id": part.branch_id, **kind, "seq": _range(part, wanted)}
        for part in parts
        for kind in ([{"type": event} for event in sorted(wanted.types)] if by_type else [{}])
    ]
    if not clauses:
        return None
    return clauses[0] | residual if len(clauses) == 1 else {"$or": [clause | residual for clause in clauses]}


def either(first: Filter | None, second: Filter) -> Filter:
    """Documents of *first*, which may be what ``on_lineage`` returns, or of *second*; each clause is planned alone."""
    if first is None:
        return second
    return {"$or": [*first["$or"], second] if "$or" in first else [first, second]}


def _overlaps(part: BranchSegment, wanted: EventFilter) -> bool:
    begins = wanted.before is None or part.first_seq < wanted.before
    return begins and (part.cutoff_seq is None or part.cutoff_seq > wanted.after)


def _range(part: BranchSegment, wanted: EventFilter) -> Filter:
    bounds: Filter = {"$gt": max(wanted.after, part.first_seq - 1)}
    if wanted.before is not None and (part.cutoff_seq is None or wanted.before <= part.cutoff_seq):
        return bounds | {"$lt": wanted.before}
    return bounds if part.cutoff_seq is None else bounds | {"$lte": part.cutoff_seq}
