"""Lineage arithmetic: the events that count on a line of history."""

from __future__ import annotations

from appdb.models import BranchSegment
from appdb.runs.lineage import next_seq, truncated

LINEAGE = [
    BranchSegment(branch_id="a", first_seq=0, cutoff_seq=4),
    BranchSegment(branch_id="b", first_seq=9, cutoff_seq=11),
    BranchSegment(branch_id="c", first_seq=20),
]


def test_lineage_is_truncated_only_at_own_event() -> None:
    assert truncated(LINEAGE, 10) == [LINEAGE[0], BranchSegment(branch_id="b", first_seq=9, cutoff_seq=10)]
    assert truncated(LINEAGE, 4) == [LINEAGE[0]]
    assert truncated(LINEAGE, 7) == []
    assert truncated(LINEAGE, 15) == []


def test_next_seq_skips_events_that_do_not_count() -> None:
    counted = [-1]
    while (seq := next_seq(LINEAGE[:2], counted[-1])) is not None:
        counted.append(seq)

    assert counted[1:] == [0, 1, 2, 3, 4, 9, 10, 11]
    assert next_seq(LINEAGE, 11) == 20
    assert next_seq(LINEAGE, 20) == 21
