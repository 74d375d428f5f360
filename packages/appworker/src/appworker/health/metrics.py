"""The metrics of a worker process, for Prometheus; labels are never user input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cache
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from appdb import AttemptOutcome, Completed, Failed, Released, Suspended, Task

OTHER = "other"
"""Stands for every name that this host did not declare, so that the number of series has a bound."""

SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class AttemptEnd(StrEnum):
    """The end of an attempt, as the label ``outcome``: its outcome in the database, or why it has none."""

    COMPLETED = "completed"
    FAILED = "failed"
    """For good: no attempt is left, or retrying cannot help."""
    RETRYING = "retrying"
    """Failed, and another attempt follows."""
    RELEASED = "released"
    """Handed back, since the host drains."""
    SUSPENDED = "suspended"
    """Waits for its children."""
    CANCELLED = "cancelled"
    LOST = "lost"
    """The lease was lost, or may have been: another worker runs the task again."""
    UNSETTLED = "unsettled"
    """The outcome could not be written; the task runs again once its lease has ended."""


def end_of(outcome: AttemptOutcome) -> AttemptEnd:
    """Return the end of an attempt whose *outcome* was written."""
    match outcome:
        case Completed():
            return AttemptEnd.COMPLETED
        case Failed(retry_in=pause):
            return AttemptEnd.FAILED if pause is None else AttemptEnd.RETRYING
        case Released():
            return AttemptEnd.RELEASED
        case Suspended():
            return AttemptEnd.SUSPENDED
        case _:
            assert_never(outcome)


class Metrics:
    """
    Counts and times the work of one worker process, in a registry of its own.

    Every method costs a few microseconds and is safe to call from any thread.

    Args:
        actors: The names of the actors that this host offers; tasks of others count as ``other``.

        queues: The names of the queues that it claims from.

        slots: How many tasks it runs at a time.
    """

    def __init__(self, *, actors: Iterable[str], queues: Iterable[str], slots: int) -> None:
        # The library's global registry would hold the series of every worker that a test makes.
        self._registry = registry = CollectorRegistry()
        self._actors = frozenset(actors)
        self._queues = frozenset(queues)
        # CPU, memory and descriptors of this process, under the names that dashboards know.
        ProcessCollector(registry=registry)
        _gauge(registry, "slots", "Tasks that this process may run at a time.").set(slots)
        self._running = _gauge(registry, "running", "Attempts that hold a slot now.")
        self._leases = _gauge(registry, "leases", "Leases that this process keeps now.")
        self._feed_live = _gauge(registry, "feed_live", "1 while the change feed gives hints, 0 while polling.")
        self._lag_now = _gauge(
            registry, "event_loop_lag_current_seconds", "How long the event loop took, or takes, for the latest answer."
        )
        self._lag = _histogram(
            registry, "event_loop_lag_seconds", "How long the event loop takes to answer.", SHORT_SECONDS
        )
        self._blocked = _gauge(
            registry, "actor_loop_blocked_seconds", "How long an actor has blocked the event loop that actors share."
        )
        self._claim = _histogram(registry, "claim_seconds", "Duration of a claim, also of an empty one.", SHORT_SECONDS)
        self._claimed = Counter("appworker_claimed_total", "Claimed tasks.", registry=registry)
        self._lost = Counter("appworker_lost_leases_total", "Leases that were lost.", registry=registry)
        self._retries = Counter(
            "appworker_retries_total", "Attempts that failed and are followed by another.", ["actor"], registry=registry
        )
        wait = _histogram(
            registry, "queue_wait_seconds", "From when a task was due to its claim.", LONG_SECONDS, ["queue"]
        )
        run = _histogram(
            registry, "run_seconds", "From an attempt's claim to its end.", LONG_SECONDS, ["actor", "outcome"]
        )
        for name in self._actors:
            self._retries.labels(name)  # a series that starts at 0 shows the first retry as an increase
        # To find a series by its labels costs more than to count in it.
        self._wait_of = cache(wait.labels)
        self._run_of = cache(run.labels)

    def read_at_scrape(
        self,
        *,
        leases: Callable[[], float],
        running: Callable[[], float],
        feed_live: Callable[[], bool],
        lag: Callable[[], float],
        blocked: Callable[[], float],
    ) -> None:
        """Take these values, from whatever thread scrapes, when they are asked for.

        Args:
            leases: How many leases are kept.
            running: How many attempts hold a slot.
            feed_live: Whether the change feed gives hints.
            lag: The event loop's latest lag, in seconds.
            blocked: For how many seconds an actor has blocked the event loop that actors share; 0 when none does.
        """
        self._leases.set_function(leases)
        self._running.set_function(running)
        self._feed_live.set_function(feed_live)
        self._lag_now.set_function(lag)
        self._blocked.set_function(blocked)

    def loop_answered(self, seconds: float) -> None:
        """The event loop answered after *seconds*."""
        self._lag.observe(seconds)

    def claimed(self, tasks: Sequence[Task], seconds: float) -> None:
        """A claim that took *seconds* gave *tasks*, or none."""
        self._claim.observe(seconds)
        if tasks:
            self._claimed.inc(len(tasks))
        for task in tasks:
            queue = task.queue if task.queue in self._queues else OTHER
            self._wait_of(queue).observe(_waited_seconds(task))

    def ended(self, task: Task, end: AttemptEnd, seconds: float) -> None:
        """An attempt of *task* ended, *seconds* after its claim."""
        actor = task.actor if task.actor in self._actors else OTHER
        self._run_of(actor, end).observe(seconds)
        if end is AttemptEnd.RETRYING:
            self._retries.labels(actor).inc()
        elif end is AttemptEnd.LOST:
            self._lost.inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as text, and its media type, in the format that *accept* (an HTTP header) prefers."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


def _waited_seconds(task: Task) -> float:
    # A claim stamps both by the database's clock, so hosts' clocks do not matter.
    return max((task.updated_at - task.run_at).total_seconds(), 0.0)


def _gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    return Gauge(f"appworker_{name}", text, registry=registry)


def _histogram(
    registry: CollectorRegistry, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
) -> Histogram:
    return Histogram(f"appworker_{name}", text, labels, buckets=buckets, registry=registry)
