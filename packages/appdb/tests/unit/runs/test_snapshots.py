"""Which snapshots of a branch are too many."""

from __future__ import annotations

from itertools import pairwise

import pytest

from appdb.runs.size_limits import MAX_SNAPSHOTS, NEWEST_SNAPSHOTS
from appdb.runs.snapshots import surplus


@pytest.mark.parametrize("step", [200, 500])
@pytest.mark.parametrize("at_once", [1, 20])
def test_surplus_leaves_newest_and_even_distances(step: int, at_once: int) -> None:
    seqs: list[int] = []
    for first in range(step, 100_001, step * at_once):
        seqs += range(first, min(first + step * at_once, 100_001), step)
        seqs = sorted(set(seqs) - set(surplus(seqs)))
        assert len(seqs) <= MAX_SNAPSHOTS

    assert seqs[-NEWEST_SNAPSHOTS:] == [100_000 - step * back for back in (2, 1, 0)]
    assert max(later - earlier for earlier, later in pairwise([0, *seqs])) <= 1_000


def test_few_snapshots_have_no_surplus() -> None:
    assert surplus([]) == surplus([1]) == surplus(list(range(MAX_SNAPSHOTS))) == []
