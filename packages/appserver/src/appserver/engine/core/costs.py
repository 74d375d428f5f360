"""Costs of what runs again: what it cost before, else what it was estimated at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from appdb.models import EventSummary, RunState
from appserver.engine.core.plan import Rerun


def cost_of(
    reruns: Iterable[Rerun],
    state: RunState,
    spent: Mapping[str, Decimal],
    only: Mapping[str, Sequence[EventSummary]],
) -> tuple[Decimal, tuple[str, ...]]:
    """Return what *reruns* will cost, and the modules of whose cost nothing is known.

    Args:
        reruns: The modules that run again.
        state: The state before.
        spent: By module, what its last run cost.
        only: By module, the starts of those of its sub-actions that run again, where that is not all of them.
    """
    total, unknown = Decimal(0), []
    for rerun in reruns:
        if rerun.module in spent and rerun.module not in only:
            total += spent[rerun.module]
            continue
        starts = only.get(rerun.module) or _starts_of(rerun, state)
        estimates = [start.data.get("estimate") for start in starts]
        total += sum((Decimal(str(one)) for one in estimates if one is not None), Decimal(0))
        if None in estimates:
            unknown.append(rerun.module)
    return total, tuple(unknown)


def _starts_of(rerun: Rerun, state: RunState) -> list[EventSummary]:
    """Return the starts of the work that costs something."""
    subs = state.sub_actions.values()
    own = [sub.started for sub in subs if (sub.step, sub.module) == (rerun.step, rerun.module)]
    return [start for start in own if start.data.get("kind") in ("task", "child")]
