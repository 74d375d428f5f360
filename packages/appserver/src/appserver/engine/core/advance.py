"""The advance of a run: what follows from a cause, up to the next wait."""

from __future__ import annotations

from appserver.engine.core.causes import Cause
from appserver.engine.core.decision import Decision
from appserver.engine.core.picture import Picture


def advance(picture: Picture, cause: Cause, *, allow: frozenset[str] = frozenset()) -> Decision:
    """Return what follows for a run from *cause*, computed up to its next wait; pure, and a repetition decides nothing.

    Args:
        picture: What is known of the run.
        cause: Why it is looked at.
        allow: Types of modules that the caller may run although requests may not: a host's own task for them.

    Raises:
        QuestionClosedError: The question that is answered is not open: it is answered otherwise, expired, or undone.
        InvalidAnswerError: The answer does not fit; the question stays open.
        RunEndedError: The run has ended, and the cause is a person's.
    """
    raise NotImplementedError(picture, cause, allow)
