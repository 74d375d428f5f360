"""What settings are read by; the contract and the migrations' lock, in the same collection, have no type."""

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
