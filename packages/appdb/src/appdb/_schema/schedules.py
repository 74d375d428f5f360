"""Indexes of ``schedules``: those that are due, and the lists of owners."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    # Small and in the order of firing, since no paused schedule is in it.
    Index(
        collection=collections.SCHEDULES,
        name="schedules_due",
        keys=(("next_at", 1),),
        options={"partialFilterExpression": {"enabled": True}},
    ),
    Index(collection=collections.SCHEDULES, name="schedules_owner", keys=(("owner_id", 1), ("name", 1))),
)
