"""Plans of going back: what a way back does, told before it is done; the dry run and the deed are the same plan."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from appdb.models import SubAction
from appserver.engine.core.decision import Decision
from appserver.engine.core.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """A module that runs again.

    Args:
        step: Its step.
        module: The module.
        type: Its type.
        unless_same: Whether it is taken over after all, should its inputs turn out to be the same as before.
    """

    step: str
    module: str
    type: str
    unless_same: bool = False

    @classmethod
    def of(cls, place: Place, *, unless_same: bool = False) -> Rerun:
        """Return that the module at *place* runs again."""
        return cls(step=place.step, module=place.module.id, type=place.module.type, unless_same=unless_same)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBackPlan:
    """The effects of a way back, told before it is done.

    Args:
        decision: What is written for it; then the run goes on by a ``Look``.
        runs_again: The modules that had begun and run again, in their order.
        reused: The modules whose completions are taken over, since nothing that they depend on changes.
        tasks_stop: Tasks and timers that are cancelled.
        children_stop: Child runs that are cancelled.
        work_again: Work of the modules that run again which is done again, and may cost something.
        estimated_cost: What the modules that run again will cost, by what they cost before or were estimated at.
        without_estimate: Modules that run again and of whose cost nothing is known, or not all.
        version_id: The version that the run follows from then on, where that changes; set before *decision*.
    """

    decision: Decision
    runs_again: tuple[Rerun, ...] = ()
    reused: tuple[str, ...] = ()
    tasks_stop: tuple[str, ...] = ()
    children_stop: tuple[str, ...] = ()
    work_again: tuple[SubAction, ...] = ()
    estimated_cost: Decimal = Decimal(0)
    without_estimate: tuple[str, ...] = ()
    version_id: str | None = None
