"""Labels of tasks: what a task works for, and what of it is handed on to children and to what follows; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb.models.tasks import LABELS, NewTask, Task


def labels_of(task: NewTask | Task) -> dict[str, Any]:
    """Return the labels that *task* has."""
    return {name: value for name in LABELS if (value := getattr(task, name)) is not None}


def runs_above(own: Mapping[str, Any], giver: Mapping[str, Any]) -> dict[str, Any]:
    """Return the runs above its run that a task takes over from the one that spawned it, or that it follows."""
    above = giver.get("ancestor_runs")
    if own.get("run_id") not in (None, giver.get("run_id")) or not isinstance(above, list):
        return {}
    return {"ancestor_runs": [run_id for run_id in above if isinstance(run_id, str)]}


def handed_on(own: Mapping[str, Any], giver: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels that a task takes over from another one.

    Args:
        own: The labels that it names itself; they stand.
        giver: The stored task that spawned it, or that it follows.
    """
    # What the giver works for lies within its run, and means nothing in another one.
    if own.get("run_id") not in (None, giver.get("run_id")):
        return {}
    # Other software may have written anything there.
    return {name: value for name in LABELS if own.get(name) is None and isinstance(value := giver.get(name), str)}
