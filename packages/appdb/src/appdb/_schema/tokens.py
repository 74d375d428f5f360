"""Indexes of ``tokens``: the calls of an owner and of a run."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import NEWEST_FIRST, TEXT, Index

INDEXES = (
    Index(collection=collections.USAGE, name="tokens_owner", keys=(("owner_id", 1), *NEWEST_FIRST)),
    Index(
        collection=collections.USAGE,
        name="tokens_run",
        keys=(("owner_id", 1), ("run_id", 1), *NEWEST_FIRST),
        options={"partialFilterExpression": {"run_id": TEXT}},
    ),
)
