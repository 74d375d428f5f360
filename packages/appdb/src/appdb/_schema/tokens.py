"""What usage and cost are read by."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

NEWEST_FIRST = (("created_at", -1), ("_id", -1))

INDEXES = (
    Index(collection=collections.USAGE, name="tokens_owner", keys=(("owner_id", 1), *NEWEST_FIRST)),
    Index(
        collection=collections.USAGE,
        name="tokens_run",
        keys=(("owner_id", 1), ("run_id", 1), *NEWEST_FIRST),
        options={"partialFilterExpression": {"run_id": TEXT}},
    ),
)
