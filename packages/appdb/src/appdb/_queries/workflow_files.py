"""Queries and updates of ``workflow_files``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.paging import BY_ID
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.models.workflow_files import FileCategory

KEY = ("owner_id", "run_id", "category", "group", "name", "branch_id")
NEWEST_FIRST = [("updated_at", -1), ("_id", -1)]
WITHOUT_CONTENT = {"text": 0}
MAX_FILES_PER_CALL = 200


def put(new_id: str, fields: Mapping[str, Any]) -> tuple[Filter, Pipeline]:
    """Write the one file of its name, replacing what it had; served by index files_key, which makes it one.

    The fields of the key come from the filter: the server repeats a lost race for a key only where none is written.
    """
    first = {"_id": {"$ifNull": ["$_id", literal(new_id)]}, "created_at": {"$ifNull": ["$created_at", NOW]}}
    written = {name: literal(value) for name, value in fields.items() if name not in KEY}
    # Bytes in GridFS are in no transaction: whoever replaces the content reads here what to delete.
    replaced = {"replaced_file_id": {"$ifNull": ["$file_id", None]}}
    return {name: fields[name] for name in KEY}, [{"$set": first | written | replaced | {"updated_at": NOW}}]


def owned(file_id: str, owner_id: str) -> Filter:
    """One file of one owner."""
    return {"_id": file_id, "owner_id": owner_id}


def of_run(run_id: str, owner_id: str) -> Filter:
    """All files of a run; served by index files_run."""
    return {"owner_id": owner_id, "run_id": run_id}


def named(run_id: str, owner_id: str, name: str, category: FileCategory | None) -> Filter:
    """The files of a name, on any branch and in any group; served by index files_name.

    Where no category is wanted all are named, so that the newest of each is the only one that is looked at.
    """
    return of_run(run_id, owner_id) | {
        "name": name,
        "category": {"$in": [category] if category else list(FileCategory)},
    }


def page(run_id: str, owner_id: str, category: FileCategory | None, group: str | None, after: str | None) -> Filter:
    """A run's files after the cursor; served by index files_run, files_category or files_group."""
    match = of_run(run_id, owner_id)
    match |= {} if category is None else {"category": category}
    match |= {} if group is None else {"group": group}
    return match | ({} if after is None else {"_id": {"$gt": after}})


def calls(run_id: str, owner_id: str, before: str | None, limit: int) -> Pipeline:
    """The *limit* last groups of calls before the cursor, each with its files: a seek for each group and each file."""
    calls_of_run = of_run(run_id, owner_id) | {"category": FileCategory.API_CALLS}
    cursor = {} if before is None else {"group": {"$lt": before}}
    files = {
        "from": collections.FILES,
        "localField": "_id",
        "foreignField": "group",
        "pipeline": [
            {"$match": calls_of_run},
            {"$sort": dict(BY_ID)},
            {"$limit": MAX_FILES_PER_CALL},
            {"$project": WITHOUT_CONTENT},
        ],
        "as": "files",
    }
    order = dict.fromkeys(KEY, -1)
    return [
        {"$match": calls_of_run | cursor},
        {"$sort": order},
        {"$group": {"_id": "$group"}},
        {"$sort": {"_id": -1}},
        {"$limit": limit},
        {"$lookup": files},
    ]
