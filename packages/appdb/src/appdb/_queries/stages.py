"""Stages of pipelines that read many collections in one round trip."""

from __future__ import annotations

from typing import Any

from appdb._queries.types import Pipeline


def union(collection: str, pipeline: Pipeline) -> dict[str, Any]:
    """Return the stage that adds the rows of *pipeline* over *collection*."""
    return {"$unionWith": {"coll": collection, "pipeline": pipeline}}
