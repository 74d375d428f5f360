"""Bad definitions: each names every problem with its place, within the caps and within its time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from appserver.engine.definition.parsing import check_definition
from appserver.engine.definition.problems import MAX_MESSAGE, MAX_PROBLEMS
from appsupport.workflows.bad_definitions import AT_LIMITS, ROWS, Row, written
from appsupport.workflows.small_modules import definition, module, small_registry

REGISTRY = small_registry()
MAX_SECONDS = 0.05


@pytest.mark.parametrize("row", ROWS, ids=[f"{number}" for number in range(len(ROWS))])
def test_bad_definition_names_every_problem(row: Row) -> None:
    value, *expected = row

    problems = check_definition(written(value), REGISTRY).problems

    places = {(problem.pointer, problem.code) for problem in problems}
    assert places == set(expected), [str(problem) for problem in problems]
    assert all(problem.message and len(problem.message) <= MAX_MESSAGE + 1 for problem in problems)


def test_hundred_definitions_stay_within_their_time() -> None:
    assert len(ROWS) >= 100
    # On a machine whose cores are shared all takes longer, also what is right and as large as may be.
    most = max(MAX_SECONDS, 2 * max(seconds_for(written(value)) for value in AT_LIMITS.values()))
    slow = [(seconds, row[1:]) for row in ROWS if (seconds := seconds_for(written(row[0]))) > most]

    assert slow == []


def seconds_for(raw: bytes) -> float:
    """Return the least of three measurements of the processor's time: others share this machine."""
    found = []
    for _ in range(3):
        begin = time.process_time()
        check_definition(raw, REGISTRY)
        found.append(time.process_time() - begin)
    return min(found)


def test_problems_are_told_up_to_a_number() -> None:
    problems = check_definition(written(definition(*[module("M") for _ in range(900)])), REGISTRY).problems

    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].code == "too_many_problems"


@pytest.mark.parametrize("value", AT_LIMITS.values(), ids=AT_LIMITS)
def test_definition_at_a_limit_is_taken(value: dict[str, Any]) -> None:
    assert check_definition(written(value), REGISTRY).problems == ()
