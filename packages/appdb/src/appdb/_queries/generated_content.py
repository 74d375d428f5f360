"""Queries and updates of ``generated_content``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from appdb._queries.clock import from_now
from appdb._queries.types import Filter, Update

BY_INDEX = [("index", 1), ("_id", 1)]


def owned(document_id: str, owner_id: str) -> Filter:
    """One document of one owner."""
    return {"_id": document_id, "owner_id": owner_id}


def orphaned(content_id: str, file_id: str, grace: timedelta) -> Filter:
    """An item that was found without its generation, unless it was stored again since or lately."""
    old = {"$expr": {"$lte": ["$created_at", from_now(-grace)]}}
    return {"_id": content_id, "file_id": file_id, "in_generation": True} | old


def store(changes: Mapping[str, Any]) -> Update:
    """Write an item; what of it *changes* do not name stays."""
    return {"$set": dict(changes)}


def mark_preview() -> Update:
    """Note that another item names this one as its preview."""
    return {"$set": {"is_preview": True}}


def shown_by(preview_id: str, *, but: str) -> Filter:
    """The items that have a preview, without the item *but*; served by index contents_preview."""
    return {"preview_id": preview_id, "_id": {"$ne": but}}


def forget_preview(preview_id: str, owner_id: str) -> tuple[Filter, Update]:
    """Let an owner's items have no preview where they had one that is deleted; served by index contents_preview."""
    return {"preview_id": preview_id, "owner_id": owner_id}, {"$set": {"preview_id": None}}


def of_generations(generation_ids: Sequence[str]) -> Filter:
    """The items of some generations; served by index contents_generation."""
    return {"generation_id": {"$in": list(generation_ids)}}
