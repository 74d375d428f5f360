"""Indexes of ``budgets``: that of a run, for its deletion."""

from __future__ import annotations

from appdb._schema import collections
from appdb._schema.index import Index, having

INDEXES = (Index(collection=collections.BUDGETS, name="budgets_run", keys=(("run_id", 1),), options=having("run_id")),)
