"""Indexes of ``weighted_keywords``: the keywords of a category."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.WEIGHTED_KEYWORDS,
        name="keywords_category",
        keys=(("owner_id", 1), ("template_id", 1), ("category", 1), ("last_used_at", -1), ("_id", 1)),
    ),
)
