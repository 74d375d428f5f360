"""Standing: how the calls of a module stand, told without looking at what each of them gave."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from appserver.modules.contract import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The keys of a module's calls by how they stand, each in the order of their starts.

    Args:
        open: Those that have not ended.
        completed: Those that have given something.
        failed: Those that have failed or were cancelled.
    """

    open: list[str]
    completed: list[str]
    failed: list[str]


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
    return Standing(
        open=[key for key, one in work.items() if one.state == "open"],
        completed=[key for key, one in work.items() if one.state == "completed"],
        failed=[key for key, one in work.items() if one.state not in ("open", "completed")],
    )
