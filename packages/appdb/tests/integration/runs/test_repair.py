"""Recovery: every disagreement is found, and mended by what the events say."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, Disagreement, NewRunEvent, RunStatus
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import answered, asked, completed, event, started, step_completed, step_started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
D = Disagreement
S = RunStatus

BEGUN = [step_started("a"), started("a", "m")]
PENDING = [*BEGUN, asked("a", "m", "f1")]
ANSWERED = [*PENDING, answered("f1")]
DONE = [step_started("a"), completed("a", "m"), step_completed("a")]
ENDED = [*DONE, event(E.WORKFLOW_COMPLETED)]
FAILED = [*BEGUN, event(E.WORKFLOW_ERROR, error="no")]


def fresh(events: list[NewRunEvent]) -> list[NewRunEvent]:
    return [NewRunEvent(type=new.type, step=new.step, module=new.module, data=new.data) for new in events]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.mark.parametrize(
    ("events", "cached", "found", "status", "cutoff"),
    [
        (ANSWERED, S.AWAITING_INPUT, D.AWAITS_NOTHING, S.PROCESSING, 4),
        (BEGUN, S.AWAITING_INPUT, D.AWAITS_NOTHING, S.PROCESSING, 0),
        (PENDING, S.PROCESSING, D.PENDING_UNSEEN, S.AWAITING_INPUT, 3),
        (PENDING, S.CREATED, D.PENDING_UNSEEN, S.AWAITING_INPUT, 3),
        (ENDED, S.PROCESSING, D.END_UNSEEN, S.COMPLETED, 4),
        (ENDED, S.ERROR, D.END_UNSEEN, S.COMPLETED, 4),
        (FAILED, S.PROCESSING, D.END_UNSEEN, S.ERROR, 3),
        (DONE, S.COMPLETED, D.NEVER_ENDED, S.PROCESSING, 3),
        (PENDING, S.ERROR, D.NEVER_ENDED, S.AWAITING_INPUT, 3),
        (DONE, S.CREATED, D.BEGUN_UNSEEN, S.PROCESSING, 3),
        ([], S.PROCESSING, D.NEVER_BEGUN, S.CREATED, 0),
    ],
)
async def test_wrong_status_is_repaired_from_stable_event(
    runs: Runs, events: list[NewRunEvent], cached: RunStatus, found: Disagreement, status: RunStatus, cutoff: int
) -> None:
    run = await runs.begin()
    if events:
        await runs.append(run, *fresh(events))
    before = await runs.get(run)
    await spoil(runs, run.id, status=cached, open=not cached.closed)

    planned = await runs.database.recover_run(run.id, owner_id=OWNER, dry_run=True)
    assert (planned.applied, planned.new_branch_id) == (False, None)
    assert (await runs.get(run)).event_count == before.event_count
    done = await runs.database.recover_run(run.id, owner_id=OWNER)
    again = await runs.database.recover_run(run.id, owner_id=OWNER)

    now, state = await runs.get(run), await runs.state(run)
    assert planned.disagreements == done.disagreements == (found,)
    assert (planned.cutoff_seq, planned.cached_status) == (done.cutoff_seq, done.cached_status) == (cutoff, cached)
    assert (done.applied, done.new_branch_id) == (True, now.branch_id)
    assert now.event_count == before.event_count + 1
    check_cache(now, state)
    told = (await runs.log(run))[-1]
    assert (told.type, told.data["reasons"]) == (E.WORKFLOW_RECOVERED, [found.value])
    assert (told.data["previous_branch_id"], told.data["cutoff_seq"]) == (before.branch_id, cutoff)
    assert (again.disagreements, again.applied) == ((), False)
    # The half-done rest is left behind, so a run that had only begun is where it was created.
    assert now.status is (S.CREATED if cutoff == 0 else status)


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
    assert found.disagreements == (D.ALL_STEPS_DONE,)
    assert (found.status, found.cutoff_seq) == (S.PROCESSING, 3)
    assert not again.disagreements


@pytest.mark.parametrize(
    ("spoiled", "found"),
    [
        ({"position.step": "elsewhere"}, D.POSITION),
        ({"open": False}, D.OPEN),
        ({"event_count": 9}, D.EVENT_COUNT),
        ({"event_count": 2}, D.EVENT_COUNT),
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
    assert D.BRANCH in done.disagreements
    now = await runs.get(run)
    told = (await runs.log(run))[-1]
    assert told.data["previous_branch_id"] == jumped.id
    check_cache(now, await runs.state(run))


async def test_recovery_opening_second_run_is_refused(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fresh(DONE))
    await spoil(runs, run.id, status=S.COMPLETED, open=False)
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
    await runs.append(run, step_started("a"), completed("a", "m", n=1), event(E.OUTPUT_STORED))
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
    await runs.append(run, event(E.WORKFLOW_RESUMED))
    assert (await runs.get(run)).status is RunStatus.PROCESSING
    assert (await runs.log(run))[:4] == log


async def spoil(runs: Runs, run_id: str, **fields: Any) -> None:
    """Write caches past everybody, as a foreign hand would."""
    written = await runs.database.collection("workflow_runs").update_one({"_id": run_id}, {"$set": fields})
    assert written.matched_count == 1
