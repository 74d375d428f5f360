"""Indexes of ``answer_drafts``: the drafts of a run, and when they disappear."""

from __future__ import annotations

from datetime import timedelta

from appdb._schema import collections
from appdb._schema.index import Index

DRAFT_RETENTION = timedelta(days=90)
"""How long a draft is kept that nobody has touched."""

INDEXES = (
    Index(collection=collections.ANSWER_DRAFTS, name="answer_drafts_run", keys=(("run_id", 1), ("owner_id", 1))),
    Index(
        collection=collections.ANSWER_DRAFTS,
        name="answer_drafts_purge",
        keys=(("updated_at", 1),),
        options={"expireAfterSeconds": int(DRAFT_RETENTION.total_seconds())},
    ),
)
