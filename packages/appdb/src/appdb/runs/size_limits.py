"""Size limits of runs: events, names, lineages and snapshots."""

from __future__ import annotations

from appdb.size_limits import KIB

MAX_RUN_EVENT_BYTES = 256 * KIB
MAX_APPEND_BYTES = 4096 * KIB
"""All events of one append."""
MAX_APPEND_EVENTS = 500
MAX_STEP_NAME_CHARACTERS = 1_000
"""The name of a project, step, module or interaction: they are parts of indexes."""
MAX_LINEAGE = 500
"""Forks one behind the other in one line of history."""
MAX_SNAPSHOT_BYTES = 8192 * KIB
SNAPSHOT_EVERY = 200
"""Events between snapshots: a read folds at most this many, plus one page."""
MAX_SNAPSHOTS = 150
"""Snapshots of one branch: enough that no state of a line of 100,000 events is over 1,000 events from one."""
NEWEST_SNAPSHOTS = 3
"""Snapshots of a branch that are never thinned out."""
PAGE_EVENTS = 500
DELETE_BATCH = 1_000
