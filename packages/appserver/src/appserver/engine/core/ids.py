"""Ids of a run's events, and of what they cause: derived from the run and a number, the same for a repetition.

Numbers are dense over all branches of a run, and a number is given once; what was left behind never has an id of what
counts.
"""

from __future__ import annotations

from appdb import derived_id


def event_id(run_id: str, seq: int) -> str:
    """Return the id of the run's event with this number."""
    return derived_id("evt_", run_id, str(seq))


def task_id(run_id: str, seq: int) -> str:
    """Return the id of the task, or the timer, that the event with this number is about."""
    return derived_id("tq_", run_id, str(seq))


def interaction_id(run_id: str, seq: int) -> str:
    """Return the id of the question that the event with this number asks."""
    return derived_id("int_", run_id, str(seq))


def child_id(run_id: str, seq: int) -> str:
    """Return the id of the child run that the event with this number starts."""
    return derived_id("wf_", run_id, str(seq))


def branch_id(run_id: str, seq: int) -> str:
    """Return the id of the branch whose first event gets this number."""
    return derived_id("br_", run_id, str(seq))


def handoff_id(run_id: str, seq: int) -> str:
    """Return the id of the task that asks another host to go on where the next event gets this number."""
    return derived_id("tq_", run_id, "handoff", str(seq))
