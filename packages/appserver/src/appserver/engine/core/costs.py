"""Costs of what runs again: what it cost before, else what it was estimated at; of child runs, all that they did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from appdb.models import RunState, SubAction
from appserver.engine.core.acts import REQUEST
from appserver.engine.core.plan import Rerun
from appserver.engine.core.try_work import subs_of_try

COSTING = ("task", "child")
"""Kinds of work that may cost something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of work.

    Args:
        amount: As far as it is known, in the ledger's currency.
        whole: Whether all of it is known.
    """

    amount: Decimal = Decimal(0)
    whole: bool = True

    def __add__(self, other: Cost) -> Cost:
        return Cost(amount=self.amount + other.amount, whole=self.whole and other.whole)

    @classmethod
    def total(cls, costs: Iterable[Self]) -> Cost:
        """Return what all of *costs* are together."""
        return sum(costs, Cost())


UNKNOWN = Cost(whole=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The cost of work that was done, as far as somebody has recorded or estimated it.

    Args:
        tasks: By task, what was recorded for its calls.
        children: By child run, what all that it has done would cost again.
        modules: By module, what was recorded since its last start for calls that no task made.
    """

    tasks: Mapping[str, Decimal] = field(default_factory=dict)
    children: Mapping[str, Cost] = field(default_factory=dict)
    modules: Mapping[str, Decimal] = field(default_factory=dict)


NOTHING_SPENT = Spent()


def cost_of(
    reruns: Sequence[Rerun], works: Mapping[str, Sequence[SubAction]], spent: Spent
) -> tuple[Decimal, tuple[str, ...]]:
    """Return what *reruns* will cost, and the modules of whose cost nothing is known, or not all.

    Args:
        reruns: The modules that run again.
        works: By module, that of its work which is done again and may cost something.
        spent: What it cost before.
    """
    costs = {rerun.module: _of_module(rerun.module, works[rerun.module], spent) for rerun in reruns}
    unknown = tuple(module for module, cost in costs.items() if not cost.whole)
    return Cost.total(costs.values()).amount, unknown


def cost_of_run(state: RunState, spent: Spent) -> Cost:
    """Return what a run that has completed would cost again."""
    costs = [_of_module(module, costing_work(state, (step, module)), spent) for step, module in state.started]
    return Cost.total(costs)


def costing_work(state: RunState, key: tuple[str, str]) -> list[SubAction]:
    """Return the work of a module's last try that may cost something, and that the module does by itself."""
    return [sub for sub in subs_of_try(state, key) if may_cost(sub)]


def may_cost(sub: SubAction) -> bool:
    """Return whether work may cost something, and is done by its module itself and not for somebody who asked."""
    return sub.started.data.get("kind") in COSTING and REQUEST not in sub.started.data


def _of_module(module: str, work: Iterable[SubAction], spent: Spent) -> Cost:
    return Cost(amount=spent.modules.get(module, Decimal(0))) + Cost.total(_of_work(sub, spent) for sub in work)


def _of_work(sub: SubAction, spent: Spent) -> Cost:
    name = str(sub.started.data.get("id"))
    if sub.started.data.get("kind") == "child":
        return spent.children.get(name, UNKNOWN)
    known, estimate = spent.tasks.get(name), sub.started.data.get("estimate")
    if estimate is None:
        return UNKNOWN if known is None else Cost(amount=known)
    expected = Decimal(str(estimate))
    if known is None:
        return Cost(amount=expected)
    # What stopped halfway has cost less than it does when it is done.
    return Cost(amount=known if sub.completed else max(known, expected))
