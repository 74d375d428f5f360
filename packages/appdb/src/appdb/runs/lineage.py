"""Lineage arithmetic: the event numbers that count on a line of history of a run."""

from __future__ import annotations

from collections.abc import Sequence

from appdb.models.branches import BranchSegment
from appdb.models.events import RunEvent


def truncated(lineage: Sequence[BranchSegment], seq: int) -> list[BranchSegment]:
    """Return the part of *lineage* that ends with the event *seq*; empty when that event is not in it."""
    for place, part in enumerate(lineage):
        if part.has(seq):
            return [*lineage[:place], part.model_copy(update={"cutoff_seq": seq})]
    return []


def next_seq(lineage: Sequence[BranchSegment], seq: int) -> int | None:
    """Return the number of the event that comes after *seq* in *lineage*; ``None`` after its last cutoff."""
    for part in lineage:
        if part.cutoff_seq is None or seq < part.cutoff_seq:
            return max(part.first_seq, seq + 1)
    return None


def counts(lineage: Sequence[BranchSegment], event: RunEvent) -> bool:
    """Return whether *event* is on *lineage*, so that it counts."""
    return any(part.branch_id == event.branch_id and part.has(event.seq) for part in lineage)
