"""Indexes of ``config``: settings by type; documents of the database itself, which stand beside them, have none."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.CONFIG,
        name="config_type",
        keys=(("type", 1), ("name", 1)),
        options={"unique": True, "partialFilterExpression": {"type": {"$exists": True}}},
    ),
)
