"""Queries and updates of ``answer_drafts``."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline


def one(draft_id: str, owner_id: str) -> Filter:
    """The owner's draft; served by ``_id``."""
    return {"_id": draft_id, "owner_id": owner_id}


def some(draft_ids: Sequence[str]) -> Filter:
    """Some drafts; served by ``_id``."""
    return {"_id": {"$in": list(draft_ids)}}


def put(run_id: str, interaction_id: str, value: JsonValue) -> Pipeline:
    """Write a draft in place of the one before."""
    fields = {"run_id": run_id, "interaction_id": interaction_id, "value": value}
    return [{"$set": {name: literal(given) for name, given in fields.items()} | {"updated_at": NOW}}]
