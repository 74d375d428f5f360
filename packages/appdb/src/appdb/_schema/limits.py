"""Indexes of ``limits``: which may be forgotten."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    # What may be forgotten: buckets that are full again. Hosts of release 0.3 and before look by the last use only.
    Index(collection=collections.LIMITS, name="limits_full", keys=(("full_at", 1), ("refilled_at", 1))),
    Index(collection=collections.LIMITS, name="limits_idle", keys=(("refilled_at", 1),)),
)
