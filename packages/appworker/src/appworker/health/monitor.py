"""The monitor: health and metrics of one worker process together, served when a port is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from appworker.health.health import WorkerHealth
from appworker.health.loop_lag import LoopLag
from appworker.health.metrics import Metrics
from appworker.health.server import HealthServer
from appworker.settings import WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The parts that a worker reports to.

    Args:
        health: Live and ready.
        metrics: Counts and times.
        watch: How late the control loop is.
    """

    health: WorkerHealth
    metrics: Metrics
    watch: LoopLag

    def follow(
        self,
        *,
        leases: Callable[[], int],
        running: Callable[[], int],
        feed_live: Callable[[], bool],
        blocked: Callable[[], float],
    ) -> None:
        """Take these values from the worker's parts when they are asked for.

        Args:
            leases: How many leases are kept.
            running: How many attempts hold a slot.
            feed_live: Whether the change feed gives hints.
            blocked: For how many seconds an actor has blocked the event loop that it shares with others.
        """
        self.health.follow_feed(feed_live)
        self.metrics.read_at_scrape(
            leases=leases, running=running, feed_live=feed_live, lag=self.watch.lag, blocked=blocked
        )


@contextmanager
def monitored(settings: WorkerSettings, *, actors: Iterable[str], queues: Iterable[str]) -> Iterator[Monitor]:
    """Yield the monitor of the running event loop's worker, served for the length of the block if a port is set.

    Raises:
        HealthPortError: The port that was set cannot be used.
    """
    metrics = Metrics(actors=actors, queues=queues, slots=settings.slots)
    watch = LoopLag(asyncio.get_running_loop(), metrics.loop_answered)
    health = WorkerHealth(loop_waiting=watch.waiting)
    monitor = Monitor(health=health, metrics=metrics, watch=watch)
    # Without a port nobody asks, so the watching thread would only wake the loop up.
    if settings.health_port is None:
        yield monitor
        return
    with watch, HealthServer(settings.health_host, settings.health_port, health, metrics):
        yield monitor
