from __future__ import annotations

from decimal import Decimal

import pytest

from appdb import (
    AppDbError,
    BudgetExceededError,
    ConflictError,
    ContractMismatchError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    InvalidDataError,
    LeaseLostError,
    NotFoundError,
    TooLargeError,
    UnreadableError,
)
from appserver.http.problems import as_problem


@pytest.mark.parametrize(
    ("error", "status", "fields"),
    [
        (NotFoundError("task", "tq_1"), 404, []),
        (ConflictError("task", "tq_1", "it is already completed"), 409, []),
        (BudgetExceededError("user:usr_a", Decimal(2), Decimal(1), Decimal("0.5"), Decimal(1)), 402, []),
        (ConflictError("unique key", "k", "it stands for another"), 422, ["Idempotency-Key"]),
        (InvalidDataError("payload", "cannot be stored"), 422, ["payload"]),
        (TooLargeError("payload", 300_000, 262_144), 413, ["payload"]),
        (DatabaseUnavailableError("reading", "timeout"), 503, []),
        (DatabaseRefusedError("reading", "no rights"), 503, []),
        (ContractMismatchError("too old"), 500, []),
        (LeaseLostError("tq_1", 1), 500, []),
        (UnreadableError("Task", "tq_1", "priority: Input should be a valid integer"), 500, []),
    ],
)
def test_each_domain_error_has_its_status(error: AppDbError, status: int, fields: list[str]) -> None:
    problem = as_problem(error)

    assert problem.status == status
    assert [field.field for field in problem.errors] == fields


def test_operators_details_stay_inside() -> None:
    problem = as_problem(DatabaseUnavailableError("TaskQueue.get", "10.0.0.7:27017 refused"))

    assert "10.0.0.7" not in problem.detail
    assert problem.headers["Retry-After"] == "2"


def test_unreadable_error_promises_no_recovery() -> None:
    problem = as_problem(UnreadableError("Task", "tq_1", "priority: Input should be a valid integer"))

    assert "priority" not in problem.detail
    assert "tell the operator" in problem.detail
    assert "Retry-After" not in problem.headers


def test_refusal_over_budget_tells_exact_amounts() -> None:
    problem = as_problem(BudgetExceededError("user:usr_a", Decimal(2), Decimal("0.1"), Decimal("0.5"), Decimal(1)))

    assert problem.facts == {
        "code": "budget_exceeded",
        "scope": "user:usr_a",
        "limit": "2",
        "spent": "0.1",
        "reserved": "0.5",
        "asked": "1",
    }
