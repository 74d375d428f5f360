"""Windows: exactly the next candidates while a claimer is alone, and others than its competitors' otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appdb.queue.claim_window import CONTENDED_MOST, MOST_SHARERS, ClaimWindow

IDS = [f"tq_{number:04}" for number in range(400)]


@given(st.integers(1, 300))
def test_lone_claimer_takes_exactly_next_tasks(limit: int) -> None:
    window = ClaimWindow()

    assert window.size(limit, frozenset()) == limit
    assert window.apart(IDS, limit, "me", frozenset(), key=str) == IDS


@given(st.integers(8, 64), st.integers(1, MOST_SHARERS))
def test_known_competitors_take_different_tasks(limit: int, others: int) -> None:
    names = frozenset(f"w{number}" for number in range(others + 1))
    goals: list[set[str]] = []
    for name in names:
        competitors = names - {name}
        wanted = ClaimWindow().size(limit, competitors)
        near = ClaimWindow().apart(IDS[:wanted], limit, name, competitors, key=str)
        assert sorted(near) == IDS[:wanted]
        goals.append(set(near[: max(1, limit // 2)]))

    assert sum(map(len, goals)) - len(set().union(*goals)) < sum(map(len, goals)) // 2


@given(st.integers(1, 16), st.lists(st.booleans(), max_size=40))
def test_window_widens_within_bounds_and_closes(limit: int, lost: list[bool]) -> None:
    window, nobody = ClaimWindow(), frozenset[str]()
    for one in lost:
        window.tried(lost=one)
        assert limit <= window.size(limit, nobody) <= max(CONTENDED_MOST, 32 * limit)
    for _ in range(32):
        window.tried(lost=False)

    assert window.size(limit, nobody) == limit
