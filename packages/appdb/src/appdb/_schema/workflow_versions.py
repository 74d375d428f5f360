"""Indexes of ``workflow_versions``: versions by content and by source."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    # A source has no parent, so its content is unique in its template; two sources may resolve to the same content.
    Index(
        collection=collections.WORKFLOW_VERSIONS,
        name="versions_content",
        keys=(("template_id", 1), ("content_hash", 1), ("parent_id", 1)),
        options={"unique": True},
    ),
    Index(
        collection=collections.WORKFLOW_VERSIONS,
        name="versions_tree",
        keys=(("template_id", 1), ("owner_id", 1), ("parent_id", 1), ("created_at", -1), ("_id", -1)),
    ),
    Index(
        collection=collections.WORKFLOW_VERSIONS,
        name="versions_merged",
        keys=(("merged_ids", 1),),
        options={"partialFilterExpression": {"merged_ids": {"$exists": True}}},
    ),
)
