"""Failures as users may read them."""

from __future__ import annotations

import pytest

from appdb.models import TaskError
from appserver.tasks.shown_errors import shown_data, shown_error

SECRET = "401 for https://provider.test/?key=hunter2"


@pytest.mark.parametrize("kind", ["Discarded", "RetryLater", "InvalidPayload"])
def test_deliberate_actor_error_is_told_unchanged(kind: str) -> None:
    error = TaskError(type=kind, message="101 paragraphs are too many", attempt=1)

    assert shown_error(error, "tq_1") == error


@pytest.mark.parametrize("kind", ["HTTPStatusError", "ProviderError", "ProcessDied", "KeyError"])
def test_unexpected_exception_is_told_by_id(kind: str) -> None:
    told = shown_error(TaskError(type=kind, message=SECRET, attempt=2), "tq_1")

    assert (told.type, told.attempt) == ("Unexpected", 2)
    assert "tq_1, attempt 2" in told.message
    assert "hunter2" not in told.message


@pytest.mark.parametrize("kind", ["LeaseExpired", "Timeout", "Expired"])
def test_queues_error_names_no_worker(kind: str) -> None:
    told = shown_error(TaskError(type=kind, message="worker wrk_7 stopped renewing", attempt=1), "tq_1")

    assert told.type == kind
    assert "wrk_7" not in told.message


def test_too_large_result_is_told_by_its_sizes_alone() -> None:
    limit = "300,016 bytes is over the limit of 262,144 bytes; store large data as content"
    told = shown_error(TaskError(type="TooLargeError", message=f"{SECRET}: {limit}", attempt=1), "tq_1")
    other = shown_error(TaskError(type="TooLargeError", message=SECRET, attempt=1), "tq_1")

    assert (told.type, told.message) == ("TooLargeError", "It gave 300,016 bytes at once, and 262,144 are allowed.")
    assert other.type == "Unexpected"


def test_failure_events_are_masked_alike() -> None:
    data = {"attempt": 1, "delay_seconds": 2.5, "error": {"type": "KeyError", "message": SECRET, "attempt": 1}}

    told = shown_data(data, "tq_1")

    assert (told["attempt"], told["delay_seconds"]) == (1, 2.5)
    assert told["error"] == shown_error(TaskError(type="KeyError", message=SECRET, attempt=1), "tq_1").model_dump(
        exclude={"at"}
    )
    assert shown_data({"fraction": 0.5}, "tq_1") == {"fraction": 0.5}
