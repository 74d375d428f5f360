"""The check of new events against a state in memory: what an append would say to them."""

from __future__ import annotations

from collections.abc import Sequence

from appdb.errors import ConflictError
from appdb.models.events import NewRunEvent
from appdb.models.run_state import RunState
from appdb.run_lock import RUN
from appdb.runs.appends import checked_append
from appdb.runs.preconditions import unmet


def check_events(events: Sequence[NewRunEvent], state: RunState) -> None:
    """Check that *events* could be appended, in this order, to a run in *state*; it needs no database.

    Raises:
        ConflictError: The run has ended, what is answered is not pending, something is asked while something else is
            pending, or a module is to run again and no step is open or named.
        InvalidDataError: An event lacks what its type needs, or they contradict each other.
        TooLargeError: One or all of them are over the limit.
    """
    append = checked_append("", "", "", events)
    problem = unmet(append.preconditions, state.position)
    if problem is not None:
        raise ConflictError(RUN, f"after event {state.seq}", problem)
