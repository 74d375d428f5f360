"""Metrics: values, labels, and the cost of counting."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from appdb import Task, TaskState
from appworker.health.metrics import AttemptEnd, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(actors=["known"], queues=["default"], slots=4)


def task(actor: str = "known", queue: str = "default", waited: float = 0) -> Task:
    now = datetime.now(UTC)
    return Task(
        _id="tsk_1",
        owner_id="usr_a",
        actor=actor,
        actor_version=1,
        queue=queue,
        payload={},
        state=TaskState.PROCESSING,
        max_attempts=3,
        created_at=now,
        updated_at=now,
        run_at=now - timedelta(seconds=waited),
    )


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    text = metrics.exposition("")[0].decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_claim_counts_tasks_and_waiting_times(metrics: Metrics) -> None:
    metrics.claimed([task(waited=2), task(waited=4)], 0.02)
    metrics.claimed([], 0.01)
    found = samples(metrics)

    assert found["appworker_claimed_total", ()] == 2
    assert found["appworker_claim_seconds_count", ()] == 2
    assert found["appworker_claim_seconds_sum", ()] == pytest.approx(0.03)
    assert found["appworker_queue_wait_seconds_sum", ("default",)] == pytest.approx(6)


@pytest.mark.parametrize("ending", AttemptEnd)
def test_attempt_is_counted_by_ending(metrics: Metrics, ending: AttemptEnd) -> None:
    metrics.ended(task(), ending, 1.5)
    found = samples(metrics)

    assert found["appworker_run_seconds_sum", ("known", ending)] == 1.5
    assert found["appworker_retries_total", ("known",)] == (1 if ending is AttemptEnd.RETRYING else 0)
    assert found["appworker_lost_leases_total", ()] == (1 if ending is AttemptEnd.LOST else 0)


def test_undeclared_names_make_no_series(metrics: Metrics) -> None:
    for number in range(100):
        stranger = task(actor=f"stranger-{number}", queue=f"queue-{number}")
        metrics.claimed([stranger], 0.01)
        metrics.ended(stranger, AttemptEnd.RETRYING, 1)
    found = samples(metrics)

    assert found["appworker_queue_wait_seconds_count", ("other",)] == 100
    assert found["appworker_run_seconds_count", ("other", "retrying")] == 100
    assert not [labels for _, labels in found if any("stranger" in label or "queue-" in label for label in labels)]


def test_values_are_read_at_scrape(metrics: Metrics) -> None:
    now = {"leases": 3, "running": 2, "live": True, "lag": 0.25, "blocked": 0.75}
    metrics.read_at_scrape(
        leases=lambda: now["leases"],
        running=lambda: now["running"],
        feed_live=lambda: bool(now["live"]),
        lag=lambda: float(now["lag"]),
        blocked=lambda: float(now["blocked"]),
    )
    before = samples(metrics)
    now.update(leases=0, running=0, live=False)
    after = samples(metrics)

    names = ("appworker_leases", "appworker_running", "appworker_feed_live")
    assert [before[name, ()] for name in names] == [3, 2, 1]
    assert before["appworker_event_loop_lag_current_seconds", ()] == 0.25
    assert before["appworker_actor_loop_blocked_seconds", ()] == 0.75
    assert [after[name, ()] for name in names] == [0, 0, 0]


def test_metrics_use_their_own_registry(metrics: Metrics) -> None:
    assert "appworker_slots" not in {family.name for family in REGISTRY.collect()}
    assert samples(metrics)["process_resident_memory_bytes", ()] > 0
    assert samples(Metrics(actors=[], queues=[], slots=1))["appworker_slots", ()] == 1


def test_openmetrics_is_given_when_preferred(metrics: Metrics) -> None:
    body, media_type = metrics.exposition("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")

    assert media_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_counting_is_cheap(metrics: Metrics) -> None:
    one, rounds = [task()], 5_000
    started_at = time.process_time()
    for _ in range(rounds):
        metrics.claimed(one, 0.01)
        metrics.ended(one[0], AttemptEnd.COMPLETED, 0.5)
    each = (time.process_time() - started_at) / (2 * rounds)

    assert each < 50e-6
