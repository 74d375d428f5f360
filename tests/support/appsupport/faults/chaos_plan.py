"""The plan of a chaos run: its faults and their times, made of a seed alone, so that a seed repeats a run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WORKERS = 3
TASKS_PER_SECOND = 3.0
SECONDS_BETWEEN_FAULTS = (1.0, 6.0)
TASK_COMMANDS = ["findAndModify", "update", "insert", "commitTransaction"]
ALL_COMMANDS = [*TASK_COMMANDS, "find", "aggregate", "getMore"]


class FaultKind(StrEnum):
    """A kind of fault."""

    KILL = "a worker is killed"
    FREEZE = "a worker stands still, and goes on"
    DRAIN = "a worker is told to stop, and started again"
    FAIL_POINT = "the server refuses or forgets some commands of workers"
    RESTART = "the server stops, and starts again"
    CRASH = "the server is killed, and starts again"


WEIGHTS = {
    FaultKind.KILL: 5,
    FaultKind.FREEZE: 3,
    FaultKind.DRAIN: 3,
    FaultKind.FAIL_POINT: 6,
    FaultKind.RESTART: 1,
    FaultKind.CRASH: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task to enqueue.

    Args:
        at: When, in seconds from the start.
        actor: Which probe actor, by its isolation.
        payload: For the actor.
        max_attempts: How often it may be tried.
        delay: Seconds until it is due.
        cancel_after: Seconds until somebody cancels it, or ``None``.
    """

    at: float
    actor: str
    payload: dict[str, Any]
    max_attempts: int
    delay: float
    cancel_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong.

    Args:
        at: When, in seconds from the start.
        kind: What.
        worker: Which worker it is for, where it is for one.
        seconds: How long it lasts, where it lasts.
        fail_point: What the server is to do, where it is for the server.
    """

    at: float
    kind: FaultKind
    worker: int
    seconds: float
    fail_point: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run."""

    tasks: list[PlannedTask]
    faults: list[Fault]


def make_plan(seed: int, seconds: float) -> Plan:
    """Return what the run of *seed* does within *seconds*."""
    chance = random.Random(seed)
    tasks = [_task(at, chance) for at in _times(seconds, chance, (0, 2 / TASKS_PER_SECOND))]
    faults = [_fault(at, chance) for at in _times(seconds, chance, SECONDS_BETWEEN_FAULTS)]
    return Plan(tasks=tasks, faults=faults)


def _times(seconds: float, chance: random.Random, gap: tuple[float, float]) -> Iterator[float]:
    at = chance.uniform(*gap)
    while at < seconds:
        yield at
        at += chance.uniform(*gap)


def _task(at: float, chance: random.Random) -> PlannedTask:
    actor = chance.choice(["fault.task", "fault.task", "fault.task", "fault.thread", "fault.process"])
    payload = {
        "seconds": chance.choice([0, 0, 0.3, 1, 3, 6]),
        "steps": chance.randint(1, 12),
        "items": chance.choice([0, 0, 1, 4]),
        "failures": chance.choice([0, 0, 0, 1, 2, 99]),
        "deaf": actor != "fault.task" and chance.random() < 0.3,
    }
    return PlannedTask(
        at=at,
        actor=actor,
        payload=payload,
        max_attempts=chance.randint(1, 6),
        delay=chance.choice([0, 0, 0, 1.5]),
        cancel_after=chance.uniform(0, 5) if chance.random() < 0.2 else None,
    )


def _fault(at: float, chance: random.Random) -> Fault:
    kind = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    return Fault(
        at=at,
        kind=kind,
        worker=chance.randrange(WORKERS),
        seconds=chance.uniform(0.2, 5),
        fail_point=_fail_point(chance) if kind is FaultKind.FAIL_POINT else {},
    )


def _fail_point(chance: random.Random) -> dict[str, Any]:
    harm: dict[str, Any] = chance.choice(
        [
            {"failCommands": ALL_COMMANDS, "closeConnection": True},
            {"failCommands": TASK_COMMANDS, "writeConcernError": {"code": 64, "errmsg": "not in time"}},
            {"failCommands": TASK_COMMANDS, "errorCode": 112},
            {"failCommands": ALL_COMMANDS, "errorCode": 91, "closeConnection": False},
            {"failCommands": TASK_COMMANDS, "blockConnection": True, "blockTimeMS": 1500},
        ]
    )
    return {"mode": {"times": chance.randint(1, 6)}, "data": harm}
