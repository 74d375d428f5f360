"""Fair share: owners who wait take turns within a priority, however many tasks each of them has waiting; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import ValidationError

from appdb._driver import RawDocument
from appdb._queries.clock import FOREVER
from appdb.models.limits import TaskLimit

MAX_GROUPS_OF_OWNER = 100
"""Groups of one owner that a claim looks at: with many more, the server would sort all that wait in them."""
MAX_OWNERS = 20_000
"""Owners whose turns are remembered beyond those who are known to wait now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A due task that a claim may take."""

    task_id: str
    owner_id: str
    priority: int
    queued_at: datetime
    limits: tuple[TaskLimit, ...]

    @classmethod
    def of_row(cls, row: RawDocument) -> Self:
        """Return the candidate that a query shows as *row*."""
        # What of it cannot be read is found by the worker that takes it, and set aside.
        return cls(
            task_id=row["_id"],
            owner_id=str(row.get("owner_id")),
            priority=priority if isinstance(priority := row.get("priority"), int) else 0,
            queued_at=queued_at if isinstance(queued_at := row.get("queued_at"), datetime) else FOREVER,
            limits=limits_of(row.get("limits")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupHead:
    """The first task of a group: the tasks of one owner and one claim key, under the same limits."""

    group: str
    owner_id: str
    priority: int
    queued_at: datetime
    limits: tuple[TaskLimit, ...]

    @classmethod
    def of_row(cls, row: RawDocument) -> Self:
        """Return the head that a query shows as *row*."""
        # What of it cannot be read is found by the worker that takes it, and set aside.
        return cls(
            group=str(row.get("_id")),  # a task that other software wrote may have none
            owner_id=str(row.get("owner_id")),
            priority=priority if isinstance(priority := row.get("priority"), int) else 0,
            queued_at=queued_at if isinstance(queued_at := row.get("queued_at"), datetime) else FOREVER,
            limits=limits_of(row.get("limits")),
        )


def limits_of(stored: object) -> tuple[TaskLimit, ...]:
    """Return the limits that a task carries; those of a task that cannot be read are none."""
    if not isinstance(stored, list):
        return ()
    try:
        return tuple(TaskLimit.model_validate(limit) for limit in stored)
    except ValidationError:
        return ()


class FairShare:
    """
    The turns of waiting owners, by how often this process has served each of them of late.

    It is the weighted part of a deficit round robin. Each process counts for itself, so that turns are even over time
    and not from claim to claim.
    """

    def __init__(self) -> None:
        self._served: Counter[str] = Counter()
        self._seen: set[str] = set()

    def set_waiting(self, owners: Iterable[str], *, all_seen: bool = True) -> None:
        """Let newcomers start level with those who were served least, and forget who no longer waits.

        Args:
            owners: The owners who are known to wait now.
            all_seen: Whether this call and those since the last one with ``all_seen`` named all owners who wait. An
                owner whom no such call named is forgotten; before, it may still wait unseen.
        """
        # Least served, and not zero: a newcomer with zero would be served alone until it has caught up with the others.
        known = set(owners)
        least = min((self._served[owner] for owner in known if owner in self._served), default=0)
        for owner in known:
            self._served.setdefault(owner, least)
        self._seen |= known
        if all_seen or len(self._served) > MAX_OWNERS + len(known):
            kept = self._seen if all_seen else known
            self._served = Counter({owner: self._served[owner] for owner in kept if owner in self._served})
            self._seen = set()

    def count_served(self, owner_id: str) -> None:
        """Count one task of *owner_id* as taken."""
        if owner_id in self._served:
            self._served[owner_id] += 1

    # Turns are taken at the claim: a key made at enqueue would be wrong as soon as a task is retried, cancelled or
    # given another priority, and all enqueues of an owner would fight for one counter (decision 0007).
    def groups_by_owner(self, heads: Sequence[GroupHead], limit: int) -> list[list[str]]:
        """Return the groups of the next *limit* owners, each owner's in a list.

        Owners with the highest priority come first, then those who were served least, then those who waited longest.
        """
        by_owner: dict[str, list[GroupHead]] = {}
        for head in sorted(heads, key=lambda head: (-head.priority, head.queued_at)):
            by_owner.setdefault(head.owner_id, []).append(head)
        ranked = sorted(by_owner, key=lambda owner: (-by_owner[owner][0].priority, self._served[owner]))
        return [[head.group for head in by_owner[owner][:MAX_GROUPS_OF_OWNER]] for owner in ranked[:limit]]

    def in_turns(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return *candidates* in the order to take them: priority first, then turn by turn, then the oldest."""
        rank = self._served.copy()
        turns = []
        for candidate in sorted(candidates, key=lambda one: (-one.priority, one.queued_at, one.task_id)):
            turns.append((-candidate.priority, rank[candidate.owner_id], candidate.queued_at, candidate.task_id))
            rank[candidate.owner_id] += 1
        by_id = {candidate.task_id: candidate for candidate in candidates}
        return [by_id[task_id] for *_, task_id in sorted(turns)]
