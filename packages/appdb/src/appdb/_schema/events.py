"""Indexes of ``events``: the log of a run, and what is asked of a branch."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import TEXT, Index

INDEXES = (
    Index(collection=collections.EVENTS, name="events_log", keys=(("run_id", 1), ("seq", 1)), options={"unique": True}),
    Index(collection=collections.EVENTS, name="events_branch", keys=(("run_id", 1), ("branch_id", 1), ("seq", 1))),
    Index(
        collection=collections.EVENTS,
        name="events_type",
        keys=(("run_id", 1), ("branch_id", 1), ("type", 1), ("seq", 1)),
    ),
    Index(
        collection=collections.EVENTS,
        name="events_module",
        keys=(("run_id", 1), ("branch_id", 1), ("module", 1), ("seq", 1)),
        options={"partialFilterExpression": {"module": TEXT}},
    ),
    Index(
        collection=collections.EVENTS,
        name="events_step",
        keys=(("run_id", 1), ("branch_id", 1), ("step", 1), ("seq", 1)),
        options={"partialFilterExpression": {"step": TEXT}},
    ),
    Index(
        collection=collections.EVENTS,
        name="events_interaction",
        keys=(("run_id", 1), ("interaction_id", 1), ("seq", 1)),
        options={"partialFilterExpression": {"interaction_id": TEXT}},
    ),
)
