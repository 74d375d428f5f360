"""Filters by id that fit the documents of every collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appdb._queries.types import Filter


def by_ids(ids: Iterable[Any]) -> Filter:
    """Documents by their ids; served by ``_id``."""
    return {"_id": {"$in": list(ids)}}


def after_id(document_id: str) -> Filter:
    """Documents behind an id, in the order of ids; served by ``_id``."""
    return {"_id": {"$gt": document_id}}
