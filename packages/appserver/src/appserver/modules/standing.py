"""Standing: how many calls of a module stand how, told without looking at each of them."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from appserver.modules.contract import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The numbers of a module's calls by how they stand.

    Args:
        open: How many have not ended.
        succeeded: How many have given something.
        failed: How many have failed or were cancelled.
    """

    open: int
    succeeded: int
    failed: int


class StandingWork(Mapping[str, Work]):
    """The calls of a module by key, which know how they stand; each is made only when it is looked at."""

    @property
    @abstractmethod
    def standing(self) -> Standing:
        """How they stand."""


def standing_of(work: Mapping[str, Work]) -> Standing:
    """Return how *work*, a module's ``Seen.work``, stands; of what the engine gives, at no cost."""
    if isinstance(work, StandingWork):
        return work.standing
    states = Counter(one.state for one in work.values())
    return Standing(open=states["open"], succeeded=states["completed"], failed=states["failed"] + states["cancelled"])
