"""FairShare: priority first, then owners in turn, then the oldest; pure, so every case is tried."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appdb.queue.fairness import Candidate, FairShare, GroupHead

START = datetime(2026, 1, 1, tzinfo=UTC)


def candidate(number: int, owner: str, priority: int = 0) -> Candidate:
    at = START + timedelta(seconds=number)
    return Candidate(task_id=f"t{number:04}", owner_id=owner, priority=priority, queued_at=at, limits=())


def head(owner: str, priority: int = 0) -> GroupHead:
    return GroupHead(group=f"lane|{owner}", owner_id=owner, priority=priority, queued_at=START, limits=())


candidates = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=30).map(
    lambda rows: [candidate(number, owner, priority) for number, (owner, priority) in enumerate(rows)]
)


@given(candidates)
def test_candidates_are_ordered_once_by_priority(found: list[Candidate]) -> None:
    ordered = FairShare().in_turns(found)

    assert sorted(one.task_id for one in ordered) == sorted(one.task_id for one in found)
    assert [one.priority for one in ordered] == sorted((one.priority for one in found), reverse=True)


@given(candidates)
def test_owners_tasks_keep_order_within_priority(found: list[Candidate]) -> None:
    ordered = FairShare().in_turns(found)
    for owner in "abc":
        for priority in range(3):
            mine = [one.task_id for one in ordered if (one.owner_id, one.priority) == (owner, priority)]
            assert mine == sorted(mine)


@given(st.integers(1, 40), st.integers(1, 40))
def test_two_waiting_owners_alternate(many: int, few: int) -> None:
    found = [candidate(number, "flood") for number in range(many)]
    found += [candidate(many + number, "other") for number in range(few)]
    ordered = FairShare().in_turns(found)
    first = Counter(one.owner_id for one in ordered[: 2 * min(many, few)])

    assert first["flood"] == first["other"] == min(many, few)


def test_least_served_owner_first_newcomer_level() -> None:
    turns = FairShare()
    turns.set_waiting(["flood"])
    for _ in range(100):
        turns.count_served("flood")
    turns.set_waiting(["flood", "other"])
    turns.count_served("flood")

    assert turns.groups_by_owner([head("flood"), head("other")], 1) == [["lane|other"]]
    ordered = turns.in_turns([candidate(0, "flood"), candidate(1, "other"), candidate(2, "flood")])
    assert [one.owner_id for one in ordered] == ["other", "flood", "flood"]


def test_higher_priority_precedes_fair_share() -> None:
    turns = FairShare()
    turns.set_waiting(["flood", "other"])
    for _ in range(9):
        turns.count_served("flood")

    assert turns.groups_by_owner([head("flood", 5), head("other")], 1) == [["lane|flood"]]
