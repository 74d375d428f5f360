"""Indexes of ``workflow_templates``: templates by name, by original and by merged duplicate."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    # What makes get-or-create atomic: a visible template is found by its name, and a hidden copy by its original.
    Index(
        collection=collections.WORKFLOW_TEMPLATES,
        name="templates_name",
        keys=(("owner_id", 1), ("name", 1)),
        options={"unique": True, "partialFilterExpression": {"visibility": "visible"}},
    ),
    Index(
        collection=collections.WORKFLOW_TEMPLATES,
        name="templates_copy",
        keys=(("owner_id", 1), ("derived_from", 1)),
        options={"unique": True, "partialFilterExpression": {"visibility": "hidden"}},
    ),
    Index(
        collection=collections.WORKFLOW_TEMPLATES,
        name="templates_owner",
        keys=(("owner_id", 1), ("visibility", 1), ("created_at", -1), ("_id", -1)),
    ),
    Index(
        collection=collections.WORKFLOW_TEMPLATES,
        name="templates_merged",
        keys=(("merged_ids", 1),),
        options={"partialFilterExpression": {"merged_ids": {"$exists": True}}},
    ),
)
