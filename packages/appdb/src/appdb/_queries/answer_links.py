"""Queries and updates of ``answer_links``."""

from __future__ import annotations

from datetime import timedelta

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline


def valid(link_id: str) -> Filter:
    """A link that has not expired; served by ``_id``."""
    return {"_id": link_id, "$expr": {"$gt": ["$expires_at", NOW]}}


def of_interaction(run_id: str, owner_id: str, interaction_id: str) -> Filter:
    """The links to one question; served by index answer_links_run."""
    return {"run_id": run_id, "owner_id": owner_id, "interaction_id": interaction_id}


def make(run_id: str, owner_id: str, interaction_id: str, expires_in: timedelta) -> Pipeline:
    """Write a link."""
    fields = {"run_id": run_id, "owner_id": owner_id, "interaction_id": interaction_id}
    times = {"created_at": NOW, "expires_at": from_now(expires_in)}
    return [{"$set": {name: literal(value) for name, value in fields.items()} | times}]
