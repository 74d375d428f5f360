"""Queries and updates of ``generated_content``."""

from __future__ import annotations

from datetime import timedelta

from appdb._queries.clock import from_now
from appdb._queries.types import Filter

BY_INDEX = [("index", 1), ("_id", 1)]


def owned(document_id: str, owner_id: str) -> Filter:
    """One document of one owner."""
    return {"_id": document_id, "owner_id": owner_id}


def orphaned(content_id: str, file_id: str, grace: timedelta) -> Filter:
    """An item that was found without its generation, unless it was stored again since or lately."""
    old = {"$expr": {"$lte": ["$created_at", from_now(-grace)]}}
    return {"_id": content_id, "file_id": file_id, "in_generation": True} | old
