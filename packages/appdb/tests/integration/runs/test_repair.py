"""Repair of runs: every disagreement between caches and events is found, and the events decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType
from appdb.models import Disagreement, NewRunEvent, Run, RunStatus
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import answered, asked, completed, event, started, step_completed, step_started
from appsupport.runs.run_repositories import OWNER, Runs

BEGUN = [step_started("a"), started("a", "m")]
PENDING = [*BEGUN, asked("a", "m", "f1")]
ANSWERED = [*PENDING, answered("f1")]
DONE = [step_started("a"), completed("a", "m"), step_completed("a")]
ENDED = [*DONE, event(DbEventType.WORKFLOW_COMPLETED)]
FAILED = [*BEGUN, event(DbEventType.WORKFLOW_ERROR, error="no")]


def fresh(events: list[NewRunEvent]) -> list[NewRunEvent]:
    return [NewRunEvent(type=new.type, step=new.step, module=new.module, data=new.data) for new in events]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongStatus:
    """A run whose stored status disagrees with its events.

    Args:
        events: Its events, behind the one that opened it.
        cached: The status that a foreign hand wrote.
        found: The disagreement that recovery finds.
        repaired: The status after recovery.
        cutoff_seq: The last stable event, from which recovery forks.
    """

    events: list[NewRunEvent]
    cached: RunStatus
    found: Disagreement
    repaired: RunStatus
    cutoff_seq: int


WRONG = {
    "awaits an answered form": WrongStatus(
        events=ANSWERED,
        cached=RunStatus.AWAITING_INPUT,
        found=Disagreement.AWAITING_WITHOUT_REQUEST,
        repaired=RunStatus.PROCESSING,
        cutoff_seq=4,
    ),
    # The half-done module is left behind, so a run that had only begun is where it was created.
    "awaits before any form": WrongStatus(
        events=BEGUN,
        cached=RunStatus.AWAITING_INPUT,
        found=Disagreement.AWAITING_WITHOUT_REQUEST,
        repaired=RunStatus.CREATED,
        cutoff_seq=0,
    ),
    "works at a pending form": WrongStatus(
        events=PENDING,
        cached=RunStatus.PROCESSING,
        found=Disagreement.REQUEST_NOT_IN_STATUS,
        repaired=RunStatus.AWAITING_INPUT,
        cutoff_seq=3,
    ),
    "is new at a pending form": WrongStatus(
        events=PENDING,
        cached=RunStatus.CREATED,
        found=Disagreement.REQUEST_NOT_IN_STATUS,
        repaired=RunStatus.AWAITING_INPUT,
        cutoff_seq=3,
    ),
    "works after its end": WrongStatus(
        events=ENDED,
        cached=RunStatus.PROCESSING,
        found=Disagreement.END_NOT_IN_STATUS,
        repaired=RunStatus.COMPLETED,
        cutoff_seq=4,
    ),
    "failed after its end": WrongStatus(
        events=ENDED,
        cached=RunStatus.ERROR,
        found=Disagreement.END_NOT_IN_STATUS,
        repaired=RunStatus.COMPLETED,
        cutoff_seq=4,
    ),
    "works after its error": WrongStatus(
        events=FAILED,
        cached=RunStatus.PROCESSING,
        found=Disagreement.END_NOT_IN_STATUS,
        repaired=RunStatus.ERROR,
        cutoff_seq=3,
    ),
    "completed without an end": WrongStatus(
        events=DONE,
        cached=RunStatus.COMPLETED,
        found=Disagreement.STATUS_ENDED_EVENTS_NOT,
        repaired=RunStatus.PROCESSING,
        cutoff_seq=3,
    ),
    "failed at a pending form": WrongStatus(
        events=PENDING,
        cached=RunStatus.ERROR,
        found=Disagreement.STATUS_ENDED_EVENTS_NOT,
        repaired=RunStatus.AWAITING_INPUT,
        cutoff_seq=3,
    ),
    "is new after its first step": WrongStatus(
        events=DONE,
        cached=RunStatus.CREATED,
        found=Disagreement.START_NOT_IN_STATUS,
        repaired=RunStatus.PROCESSING,
        cutoff_seq=3,
    ),
    "works before it began": WrongStatus(
        events=[],
        cached=RunStatus.PROCESSING,
        found=Disagreement.STATUS_STARTED_EVENTS_NOT,
        repaired=RunStatus.CREATED,
        cutoff_seq=0,
    ),
}


@pytest.fixture(params=WRONG.values(), ids=list(WRONG))
def wrong(request: pytest.FixtureRequest) -> WrongStatus:
    case: WrongStatus = request.param
    return case


@pytest.fixture
async def spoiled(runs: Runs, wrong: WrongStatus) -> Run:
    """A run as it was before its status became the wrong one."""
    run = await runs.begin()
    if wrong.events:
        await runs.append(run, *fresh(wrong.events))
    before = await runs.get(run)
    await spoil(runs, run.id, status=wrong.cached, open=not wrong.cached.closed)
    return before


async def test_dry_run_finds_wrong_status(runs: Runs, wrong: WrongStatus, spoiled: Run) -> None:
    planned = await runs.database.recover_run(spoiled.id, owner_id=OWNER, dry_run=True)

    assert planned.disagreements == (wrong.found,)
    assert (planned.cutoff_seq, planned.cached_status) == (wrong.cutoff_seq, wrong.cached)
    assert (planned.applied, planned.new_branch_id) == (False, None)
    assert (await runs.get(spoiled)).event_count == spoiled.event_count


async def test_wrong_status_is_repaired_from_stable_event(runs: Runs, wrong: WrongStatus, spoiled: Run) -> None:
    done = await runs.database.recover_run(spoiled.id, owner_id=OWNER)
    now = await runs.get(spoiled)

    assert done.disagreements == (wrong.found,)
    assert (done.cutoff_seq, done.cached_status) == (wrong.cutoff_seq, wrong.cached)
    assert (done.applied, done.new_branch_id) == (True, now.branch_id)
    assert now.status is wrong.repaired
    check_cache(now, await runs.state(spoiled))


async def test_repair_appends_one_event_with_reasons(runs: Runs, wrong: WrongStatus, spoiled: Run) -> None:
    await runs.database.recover_run(spoiled.id, owner_id=OWNER)
    log = await runs.log(spoiled)

    assert len(log) == spoiled.event_count + 1
    assert log[-1].type == DbEventType.WORKFLOW_RECOVERED
    assert log[-1].data["reasons"] == [wrong.found.value]
    assert log[-1].data["previous_branch_id"] == spoiled.branch_id
    assert log[-1].data["cutoff_seq"] == wrong.cutoff_seq


@pytest.mark.usefixtures("wrong")
async def test_repaired_run_is_left_alone(runs: Runs, spoiled: Run) -> None:
    await runs.database.recover_run(spoiled.id, owner_id=OWNER)
    again = await runs.database.recover_run(spoiled.id, owner_id=OWNER)

    assert (again.disagreements, again.applied) == ((), False)


async def test_healthy_run_is_left_alone(runs: Runs) -> None:
    for number, events in enumerate([BEGUN, PENDING, ANSWERED, DONE, ENDED, FAILED]):
        run = await runs.begin(f"film {number}")
        await runs.append(run, *fresh(events))
        before = await runs.get(run)
        found = await runs.database.recover_run(run.id, owner_id=OWNER)

        assert (found.disagreements, found.applied) == ((), False)
        after = await runs.get(run)
        assert after.model_copy(update={"touched_at": None}) == before


async def test_run_with_all_steps_done_is_advanced_once(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(DONE))

    assert not (await runs.database.recover_run(run.id, owner_id=OWNER)).disagreements
    assert not (await runs.database.recover_run(run.id, owner_id=OWNER, steps=["a", "b"])).disagreements
    found = await runs.database.recover_run(run.id, owner_id=OWNER, steps=["a"])
    again = await runs.database.recover_run(run.id, owner_id=OWNER, steps=["a"])
    assert found.disagreements == (Disagreement.ALL_STEPS_DONE,)
    assert (found.status, found.cutoff_seq) == (RunStatus.PROCESSING, 3)
    assert not again.disagreements


@pytest.mark.parametrize(
    ("spoiled", "found"),
    [
        ({"position.step": "elsewhere"}, Disagreement.POSITION),
        ({"open": False}, Disagreement.OPEN),
        ({"event_count": 9}, Disagreement.EVENT_COUNT),
        ({"event_count": 2}, Disagreement.EVENT_COUNT),
    ],
)
async def test_wrong_caches_are_corrected_in_place(runs: Runs, spoiled: dict[str, Any], found: Disagreement) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(PENDING))
    await spoil(runs, run.id, **spoiled)

    done = await runs.database.recover_run(run.id, owner_id=OWNER)
    assert (done.disagreements, done.new_branch_id, done.applied) == ((found,), None, True)
    now = await runs.get(run)
    check_cache(now, await runs.state(run))
    assert (now.branch_id, now.event_count) == (run.branch_id, 4)
    await runs.append(run, answered("f1"))


async def test_run_on_left_branch_goes_on_from_newest(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(ANSWERED))
    jumped = await runs.states.jump(run.id, "a", "m", owner_id=OWNER, branch_id=run.branch_id)
    await spoil(runs, run.id, branch_id=run.branch_id)

    done = await runs.database.recover_run(run.id, owner_id=OWNER)
    assert Disagreement.BRANCH in done.disagreements
    now = await runs.get(run)
    told = (await runs.log(run))[-1]
    assert told.data["previous_branch_id"] == jumped.id
    check_cache(now, await runs.state(run))


async def test_recovery_opening_second_run_is_refused(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(DONE))
    await spoil(runs, run.id, status=RunStatus.COMPLETED, open=False)
    await runs.begin()

    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.database.recover_run(run.id, owner_id=OWNER)
    assert (await runs.get(run)).event_count == 4


async def test_lost_event_is_named_not_repaired(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(DONE))
    await runs.database.collection("events").delete_one({"run_id": run.id, "seq": 2})

    with pytest.raises(ConflictError, match="event 2 is missing"):
        await runs.database.recover_run(run.id, owner_id=OWNER)


async def test_newer_releases_run_is_left_alone(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"), completed("a", "m", n=1), event(DbEventType.OUTPUT_STORED))
    later = {"$set": {"type": "module_dreamt", "data": {"of": "sheep"}}}
    assert (await runs.database.collection("events").update_one({"run_id": run.id, "seq": 3}, later)).modified_count
    await spoil(runs, run.id, status="asleep", **{"position.ended": "asleep"})
    now, log = await runs.get(run), await runs.log(run)
    state = await runs.state(run)

    assert (str(now.status), log[3].type.value, log[3].data) == ("asleep", "module_dreamt", {"of": "sheep"})
    assert (state.seq, state.last_type, state.unknown_type) == (3, "module_dreamt", "module_dreamt")
    assert state.module_outputs() == {"m": {"n": 1}}
    assert [entry.seq for entry in await runs.counting(run)] == [0, 1, 2, 3]
    assert [one.id for one in await runs.workflows.page(owner_id=OWNER)] == [run.id]
    for dry_run in (True, False):
        with pytest.raises(ConflictError, match=r"module_dreamt.*with the release that wrote it"):
            await runs.database.recover_run(run.id, owner_id=OWNER, dry_run=dry_run)
    with pytest.raises(ConflictError, match="it is asleep"):
        await runs.append(run, step_started("b"))
    await runs.append(run, event(DbEventType.WORKFLOW_RESUMED))
    assert (await runs.get(run)).status is RunStatus.PROCESSING
    assert (await runs.log(run))[:4] == log


async def spoil(runs: Runs, run_id: str, **fields: Any) -> None:
    """Write caches past everybody, as a foreign hand would."""
    written = await runs.database.collection("workflow_runs").update_one({"_id": run_id}, {"$set": fields})
    assert written.matched_count == 1
