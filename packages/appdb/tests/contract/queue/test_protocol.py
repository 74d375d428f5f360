"""Both queues have the surface of the protocol, parameter for parameter."""

from __future__ import annotations

import inspect

import pytest

from appdb import TaskQueue, TaskQueueProtocol
from appdb.testing import InMemoryTaskQueue

# A type checker accepts this only while both fit.
QUEUES: tuple[type[TaskQueueProtocol], ...] = (TaskQueue, InMemoryTaskQueue)
CALLS = sorted(name for name, value in vars(TaskQueueProtocol).items() if inspect.isfunction(value) and name[0] != "_")


def parameters(queue: type[object], name: str) -> list[tuple[str, object, bool]]:
    found = inspect.signature(getattr(queue, name)).parameters.values()
    return [(each.name, each.kind, each.default is inspect.Parameter.empty) for each in found]


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("name", CALLS)
def test_both_queues_have_protocols_signatures(queue: type[TaskQueueProtocol], name: str) -> None:
    assert parameters(queue, name) == parameters(TaskQueueProtocol, name)
    assert inspect.iscoroutinefunction(getattr(queue, name)) is inspect.iscoroutinefunction(
        getattr(TaskQueueProtocol, name)
    )


@pytest.mark.parametrize("name", CALLS)
def test_both_queues_have_same_defaults(name: str) -> None:
    real, memory = (inspect.signature(getattr(queue, name)).parameters for queue in QUEUES)

    assert {each.name: each.default for each in real.values()} == {each.name: each.default for each in memory.values()}


def test_real_queue_adds_no_public_method() -> None:
    real, memory = (
        {name for name, value in vars(queue).items() if callable(value) and not name.startswith("_")}
        for queue in QUEUES
    )

    assert real == set(CALLS)
    assert memory - real == {"advance"}
