"""The claim window: the candidates that a claimer looks at, and their order, so that competitors do not collide."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

T = TypeVar("T")

CONTENDED_WINDOW = 16
"""Candidates for each free slot while there are competitors."""
CONTENDED_MOST = 256
"""Candidates in all that competitors alone make a claim look at."""
WIDEST_WINDOW = 32
"""Candidates for each free slot after a claim has lost many to others; the width shrinks again while it loses none."""
LEAST_WINDOW = 32
"""Candidates of a claim that has competitors, however few slots are free."""
MOST_FOR_ONE = 8
"""Factor on ``LEAST_WINDOW`` when a claim of one task has lost races: up to 256 candidates."""
MOST_SHARERS = 7
"""Competitors with whom a claimer divides the candidates; among more, chance decides who goes for which."""


class ClaimWindow:
    """The candidates that a claimer looks at, exactly the next ones while it is alone."""

    def __init__(self) -> None:
        self._width = 1
        self.lost = False
        """Whether competitors were quicker at what was tried last."""

    def size(self, limit: int, competitors: Collection[str]) -> int:
        """Return how many candidates a claim of *limit* tasks should look at."""
        # Room for the shares of all, and a quarter more.
        if _shared(limit, competitors):
            return (len(competitors) + 1) * limit * 5 // 4
        if not self._contended(competitors):
            return limit
        least = LEAST_WINDOW * (1 if limit > 1 else min(self._width, MOST_FOR_ONE))
        return max(least, min(limit * CONTENDED_WINDOW, CONTENDED_MOST), limit * self._width)

    def apart(
        self, candidates: Sequence[T], limit: int, worker_id: str, competitors: Collection[str], key: Callable[[T], str]
    ) -> list[T]:
        """Return *candidates* in an order in which others do not go for them: one's share first, or as chance has it.

        Args:
            candidates: In the order in which they should be taken.
            limit: The number of tasks that are wanted.
            worker_id: The claimer.
            competitors: The other workers that claim.
            key: Tells a candidate's id.
        """
        if _shared(limit, competitors):
            return _own_share_first(candidates, worker_id, competitors, key)
        return random.sample(candidates, len(candidates)) if self._contended(competitors) else list(candidates)

    def tried(self, *, lost: bool) -> None:
        """Look at more candidates after some were *lost* to others, and again at fewer while none are."""
        self.lost = lost
        self._width = min(max(self._width, 2) * 2, WIDEST_WINDOW) if lost else max(self._width - 1, 1)

    def _contended(self, competitors: Collection[str]) -> bool:
        return self._width > 1 or bool(competitors)


def _shared(limit: int, competitors: Collection[str]) -> bool:
    return 0 < len(competitors) <= MOST_SHARERS and limit > 1


def _own_share_first(
    candidates: Sequence[T], worker_id: str, competitors: Collection[str], key: Callable[[T], str]
) -> list[T]:
    """Return *candidates* in order, but *worker_id*'s share of them first; its *competitors* have the other shares.

    Workers that know the same competitors work out the same shares, so they do not go for the same tasks. A worker that
    knows fewer goes for some tasks of another's share too, and the claim decides who gets them.
    """
    sharers = sorted({worker_id, *competitors})
    mine = sharers.index(worker_id)
    return sorted(candidates, key=lambda one: zlib.crc32(key(one).encode()) % len(sharers) != mine)
