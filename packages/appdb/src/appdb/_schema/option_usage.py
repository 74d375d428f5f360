"""Indexes of ``option_usage``: the options of a module."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.OPTION_USAGE,
        name="option_usage_module",
        keys=(("owner_id", 1), ("template_id", 1), ("step_id", 1), ("module", 1), ("last_used_at", -1), ("_id", 1)),
    ),
)
