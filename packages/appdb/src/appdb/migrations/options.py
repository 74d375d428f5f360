"""The options of a migration run: waiting for the lock, the pace of back-fills, and the report of progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from appdb.migrations.records import LockHolder, StepProgress

LOCK_LEASE = timedelta(seconds=60)
BATCH = 1_000
"""Documents of a batch: some ten milliseconds of writing, so that other writes wait no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The wait for the migration lock.

    Args:
        longest: How long to wait for it before the run is refused.
        told: Called once with who holds the lock, when there is a reason to wait.
        lease: How long the own lock lasts without a sign of life.
    """

    longest: timedelta = timedelta(0)
    told: Callable[[LockHolder], None] = lambda _: None
    lease: timedelta = LOCK_LEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class BackFillPace:
    """The pace of a back-fill.

    Args:
        batch: Documents at a time.
        pause: After each batch.
    """

    batch: int = BATCH
    pause: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of a migration run.

    Args:
        waiting: The wait while another host migrates.
        pace: The pace of back-fills.
        report: Called with the migration's name and how far a step of it is.
    """

    waiting: Waiting = field(default_factory=Waiting)
    pace: BackFillPace = field(default_factory=BackFillPace)
    report: Callable[[str, StepProgress], None] = lambda _name, _step: None
