"""Indexes of ``answer_links``: the links of a run, and when they disappear."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index

INDEXES = (
    Index(
        collection=collections.ANSWER_LINKS,
        name="answer_links_run",
        keys=(("run_id", 1), ("owner_id", 1), ("interaction_id", 1)),
    ),
    Index(
        collection=collections.ANSWER_LINKS,
        name="answer_links_purge",
        # The server deletes what has expired, about once a minute.
        keys=(("expires_at", 1),),
        options={"expireAfterSeconds": 0},
    ),
)
