"""Texts of the pages; scripts are given theirs by the page, so that both always say the same."""

from __future__ import annotations

from http import HTTPStatus

from appdb import TaskState
from appdb.models import RunStatus

STATE_WORDS = {
    TaskState.SCHEDULED: "Waiting",
    TaskState.QUEUED: "In the queue",
    TaskState.PROCESSING: "Running",
    TaskState.COMPLETED: "Done",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}
TRYING_AGAIN = "Waiting to try again"
FILM_READY = "The video is ready."
CANCELLED = "Nothing more is made; what is there stays."
NO_PAGE = "There is no page at this address."
EXPLAINED = {
    HTTPStatus.UNAUTHORIZED: "This page belongs to whoever started it, and this browser does not know you.",
    HTTPStatus.NOT_FOUND: "There is no such generation among yours. It may have been started in another browser.",
}


RUN_WORDS = {
    RunStatus.WAITING: "Waits for the run before it",
    RunStatus.CREATED: "Beginning",
    RunStatus.PROCESSING: "Running",
    RunStatus.AWAITING_INPUT: "Waits for you",
    RunStatus.TARGET_REACHED: "Stopped where it was asked to",
    RunStatus.VALIDATION_FAILED: "Stopped: something does not fit",
    RunStatus.COMPLETED: "Done",
    RunStatus.ERROR: "Stopped at an error",
    RunStatus.CANCELLED: "Cancelled",
}
WAIT_WORDS = {
    "task": "A worker",
    "timer": "A moment in time",
    "interaction": "Your answer",
    "child": "A part",
    "signal": "A message",
}


def run_word(status: RunStatus) -> str:
    """Return the word for *status*."""
    return RUN_WORDS.get(status) or str(status).replace("_", " ").capitalize()


def state_word(state: TaskState) -> str:
    """Return the word for *state*."""
    # Hosts of a newer release may know other states; theirs are shown by their names.
    return STATE_WORDS.get(state) or str(state).replace("_", " ").capitalize()


def script_words(*, is_film: bool) -> dict[str, str]:
    """Return the words that the script of a task's page needs."""
    states = {str(state): word for state, word in STATE_WORDS.items()}
    return states | {"again": TRYING_AGAIN, "ready": FILM_READY if is_film else "", "nothing_more": CANCELLED}
