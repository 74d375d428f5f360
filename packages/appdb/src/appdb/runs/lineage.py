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


def page_end(lineage: Sequence[BranchSegment], seq: int, count: int) -> int:
    """Return the number of the event that is *count* events behind *seq* on *lineage*, or of its last one."""
    last = seq
    for part in lineage:
        first = max(part.first_seq, seq + 1)
        if part.cutoff_seq is not None and part.cutoff_seq < first:
            continue
        ends = first + count - 1
        last = ends if part.cutoff_seq is None else min(ends, part.cutoff_seq)
        count -= last - first + 1
        if count == 0:
            break
    return last


def counts(lineage: Sequence[BranchSegment], event: RunEvent) -> bool:
    """Return whether *event* is on *lineage*, so that it counts."""
    return any(part.branch_id == event.branch_id and part.has(event.seq) for part in lineage)
