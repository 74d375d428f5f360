"""Fork points: the places at which branches of a run leave, and requests for forks there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appdb.events import DbEventType as E
from appdb.models.bounds import Name, accept
from appdb.models.events import NewRunEvent
from appdb.utils import derived_id, uuid7_str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEvent:
    """Fork behind the event with this number, on whichever branch it is."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeFirst:
    """Fork before the first event of a step, or of a module in it, on the current line of history."""

    step: str
    module: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtInteraction:
    """Fork behind the newest request of an interaction, on whichever branch it is."""

    interaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtEnd:
    """Fork behind the last event of a branch that the run has left."""

    branch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBeginning:
    """Begin again on a branch that is a root itself."""


Point = AtEvent | BeforeFirst | AtInteraction | AtEnd | AtBeginning


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRequest:
    """A request for a fork.

    Args:
        run_id: The run.
        owner_id: Its owner.
        current: The branch that the caller takes for the current one.
        branch_id: The id of the new branch.
        point: The place at which the new branch leaves.
        event: The event that gives the reason.
    """

    run_id: str
    owner_id: str
    current: str
    branch_id: str
    point: Point
    event: NewRunEvent


def fork_of(
    run: tuple[str, str], branches: tuple[str, str | None], point: Point, why: E, data: Mapping[str, Any]
) -> ForkRequest:
    """Return a fork whose event has the type *why* and an id that follows from that of the new branch.

    Args:
        run: The id of the run and its owner.
        branches: The branch that the caller takes for the current one, and the id of the new one; ``None`` to make it.
        point: The place at which the new branch leaves.
        why: The type of the event that gives the reason; of a jump it is about the place that is jumped to.
        data: What the event says.

    Raises:
        InvalidDataError: The id of the new branch cannot be stored.
    """
    branch_id = branches[1] or uuid7_str("br_")
    accept(Name, branch_id, "new_branch_id")
    at = point if isinstance(point, BeforeFirst) else None
    event = NewRunEvent(
        type=why,
        step=None if at is None else at.step,
        module=None if at is None else at.module,
        data=dict(data),
        # Made from the branch's, so that a repeated transaction writes what the first one wrote.
        event_id=derived_id("evt_", branch_id, "fork"),
    )
    return ForkRequest(
        run_id=run[0], owner_id=run[1], current=branches[0], branch_id=branch_id, point=point, event=event
    )
