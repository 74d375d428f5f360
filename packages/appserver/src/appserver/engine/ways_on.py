"""Ways on: what can be done with a run as it is; no run is ever at a dead end."""

from __future__ import annotations

from appdb.models import RunStatus

GOING_BACK = ("retry", "jump", "branch", "switch_branch", "move_version", "reset")
AT_REST: dict[RunStatus, tuple[str, ...]] = {
    RunStatus.WAITING: ("signal", "cancel"),
    RunStatus.COMPLETED: GOING_BACK,
    RunStatus.CANCELLED: GOING_BACK,
    RunStatus.ERROR: (*GOING_BACK, "cancel"),
    RunStatus.TARGET_REACHED: (*GOING_BACK, "cancel"),
    RunStatus.VALIDATION_FAILED: (*GOING_BACK, "cancel"),
}


def ways_on(status: RunStatus) -> tuple[str, ...]:
    """Return the names of what can be done with a run of this *status*."""
    if status in AT_REST:
        return AT_REST[status]
    answering = ("respond", "act") if status is RunStatus.AWAITING_INPUT else ()
    return (*answering, "signal", *GOING_BACK, "cancel")
