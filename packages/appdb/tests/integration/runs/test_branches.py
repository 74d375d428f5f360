"""Branches: forked, listed and deleted."""

from __future__ import annotations

from functools import partial

import pytest

from appdb import ConflictError, Database, DbEventType, NotFoundError
from appdb.models import BranchSegment, Run, RunStatus
from appdb.runs import fork as forking
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started, two_steps
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

E = DbEventType


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.fixture
async def run(runs: Runs) -> Run:
    made = await runs.begin()
    await runs.append(made, *two_steps())
    return made


async def test_fork_keeps_earlier_events(runs: Runs, run: Run) -> None:
    why = event(E.RETRY_REQUESTED, target_module="draft", target_step="write")
    branch = await runs.branches.fork(run.id, 3, why, owner_id=OWNER, branch_id=run.branch_id)

    assert branch.lineage == [
        BranchSegment(branch_id=run.branch_id, first_seq=0, cutoff_seq=3),
        BranchSegment(branch_id=branch.id, first_seq=11),
    ]
    lineage = await runs.branches.lineage(run.id, owner_id=OWNER)
    assert lineage[-1].cutoff_seq == 11
    told = (await runs.log(run))[-1]
    assert (told.branch_id, told.data["previous_branch_id"], told.data["cutoff_seq"]) == (branch.id, run.branch_id, 3)
    assert await runs.branches.current(run.id, owner_id=OWNER) == branch
    assert (await runs.branches.root(run.id, owner_id=OWNER)).id == run.branch_id
    check_cache(await runs.get(run), await runs.state(run))


async def test_fork_can_return_to_left_branch(runs: Runs, run: Run) -> None:
    first = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    resumed = event(E.WORKFLOW_RESUMED)
    second = await runs.branches.fork(run.id, 8, resumed, owner_id=OWNER, branch_id=first.id)

    assert [part.branch_id for part in second.lineage] == [run.branch_id, second.id]
    assert (await runs.state(run)).steps_completed == ("write",)


async def test_switch_returns_to_end_of_left_branch(runs: Runs, run: Run) -> None:
    await runs.append(run, event(E.WORKFLOW_COMPLETED))
    before = await runs.state(run)
    left = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    branch = await runs.branches.switch(
        run.id, run.branch_id, owner_id=OWNER, branch_id=left.id, new_branch_id="br_new"
    )
    again = await runs.branches.switch(run.id, run.branch_id, owner_id=OWNER, branch_id=left.id, new_branch_id="br_new")
    state = await runs.state(run)

    assert (again, branch.parent_id) == (branch, run.branch_id)
    assert (state.position, state.outputs, state.started) == (before.position, before.outputs, before.started)
    assert (await runs.get(run)).status is RunStatus.COMPLETED
    check_cache(await runs.get(run), state)
    with pytest.raises(ConflictError, match="go to it already"):
        await runs.branches.switch(run.id, branch.id, owner_id=OWNER, branch_id=branch.id)
    with pytest.raises(NotFoundError):
        await runs.branches.switch(run.id, "br_none", owner_id=OWNER, branch_id=branch.id)


async def test_repeated_switches_do_not_lengthen_lineage(runs: Runs, run: Run) -> None:
    current = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    other = run.branch_id
    for _ in range(6):
        new = await runs.branches.switch(run.id, other, owner_id=OWNER, branch_id=current.id)
        current, other = new, current.id

    assert len(current.lineage) <= 3


async def test_jump_lands_before_first_event_of_target(runs: Runs, run: Run) -> None:
    await runs.states.jump(run.id, "write", "choose", owner_id=OWNER, branch_id=run.branch_id)
    state, now = await runs.state(run), await runs.get(run)
    assert state.modules_completed == {"write": ("draft",)}
    assert (state.position.step, state.position.module, state.pending) == ("write", None, None)
    check_cache(now, state)

    await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=now.branch_id)
    state, now = await runs.state(run), await runs.get(run)
    assert (state.steps_completed, state.position.step, state.values()) == ((), None, {})
    check_cache(now, state)
    with pytest.raises(NotFoundError):
        await runs.states.jump(run.id, "paint", owner_id=OWNER, branch_id=now.branch_id)


async def test_repeated_jumps_do_not_lengthen_lineage(runs: Runs, run: Run) -> None:
    for _ in range(4):
        now = await runs.get(run)
        branch = await runs.states.jump(run.id, "write", "choose", owner_id=OWNER, branch_id=now.branch_id)
        await runs.append(run, started("write", "choose"))

    assert len(branch.lineage) == 2


async def test_old_form_becomes_pending_without_reruns(runs: Runs, run: Run) -> None:
    branch = await runs.states.branch_from_interaction(
        run.id, "select_1", owner_id=OWNER, branch_id=run.branch_id, new_branch_id="br_again"
    )
    again = await runs.states.branch_from_interaction(
        run.id, "select_1", owner_id=OWNER, branch_id=run.branch_id, new_branch_id="br_again"
    )

    state, now = await runs.state(run), await runs.get(run)
    assert again == branch
    assert state.pending is not None
    assert state.pending.data == {"interaction_id": "select_1", "title": "Which?"}
    assert (now.status, now.event_count) == (RunStatus.AWAITING_INPUT, 12)
    assert state.module_outputs() == {"draft": {"response": "one"}}
    check_cache(now, state)
    await runs.append(run, answered("select_1", value=2))
    pairs = await runs.states.interactions(run.id, owner_id=OWNER)
    assert [pair.response and pair.response.data["value"] for pair in pairs] == [2]


async def test_jump_reopens_completed_run(runs: Runs, run: Run) -> None:
    await runs.append(run, event(E.WORKFLOW_COMPLETED))
    await runs.states.jump(run.id, "paint", owner_id=OWNER, branch_id=run.branch_id)

    now = await runs.get(run)
    assert (now.status, now.open, now.completed_at) == (RunStatus.PROCESSING, True, None)


async def test_taken_branch_or_event_id_makes_nothing(runs: Runs, run: Run) -> None:
    other = await runs.begin("other")
    why = event(E.WORKFLOW_RESUMED)
    made = await runs.branches.fork(other.id, 0, why, owner_id=OWNER, branch_id=other.branch_id)

    with pytest.raises(ConflictError, match="its id is taken"):
        await runs.branches.fork(
            run.id, 3, event(E.WORKFLOW_RESUMED), owner_id=OWNER, branch_id=run.branch_id, new_branch_id=made.id
        )
    with pytest.raises(ConflictError, match="its id is taken"):
        await runs.branches.fork(run.id, 3, why, owner_id=OWNER, branch_id=run.branch_id)
    now = await runs.get(run)
    assert (now.branch_id, now.event_count) == (run.branch_id, 11)


async def test_branch_id_reused_for_other_fork_conflicts(runs: Runs, run: Run) -> None:
    why = event(E.WORKFLOW_RESUMED, reason="again")
    fork = partial(runs.branches.fork, run.id, owner_id=OWNER, branch_id=run.branch_id, new_branch_id="br_new")
    made = await fork(2, why)
    for seq, other in ((3, why), (2, event(E.WORKFLOW_RESUMED, reason="else")), (2, event(E.OUTPUT_STORED))):
        with pytest.raises(ConflictError, match="br_new"):
            await fork(seq, other)
    with pytest.raises(ConflictError, match="br_new"):
        await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id, new_branch_id="br_new")
    with pytest.raises(ConflictError, match="br_new"):
        await runs.branches.fork(run.id, 2, why, owner_id=OWNER, branch_id="br_new", new_branch_id="br_new")

    assert await fork(2, event(E.WORKFLOW_RESUMED, reason="again")) == made
    assert len(await runs.branches.page(run.id, owner_id=OWNER)) == 2


async def test_branches_are_listed_newest_first(runs: Runs, run: Run) -> None:
    made = [run.branch_id]
    for _ in range(3):
        made.append((await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=made[-1])).id)
        await runs.append(run, step_started("write"))

    first = await runs.branches.page(run.id, owner_id=OWNER, limit=3)
    rest = await runs.branches.page(run.id, owner_id=OWNER, limit=3, before=first[-1].id)
    assert [branch.id for branch in first + rest] == made[::-1]
    with pytest.raises(NotFoundError):
        await runs.branches.page(run.id, owner_id=OTHER)
    with pytest.raises(NotFoundError):
        await runs.branches.get(made[0], owner_id=OTHER)


async def test_only_leaf_branch_is_deleted(runs: Runs, run: Run) -> None:
    left = await runs.states.jump(run.id, "write", "choose", owner_id=OWNER, branch_id=run.branch_id)
    await runs.append(run, started("write", "choose"), completed("write", "choose"))
    child = await runs.branches.fork(run.id, 12, event(E.WORKFLOW_RESUMED), owner_id=OWNER, branch_id=left.id)
    await runs.branches.fork(run.id, 5, event(E.WORKFLOW_RESUMED), owner_id=OWNER, branch_id=child.id)

    for branch_id, problem in (
        (run.branch_id, "other branches go on from it"),
        (left.id, "other branches go on from it"),
        ((await runs.get(run)).branch_id, "the run's events go to it"),
    ):
        with pytest.raises(ConflictError, match=problem):
            await runs.branches.delete(branch_id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await runs.branches.delete(child.id, owner_id=OTHER)
    for branch_id in (child.id, left.id):
        await runs.branches.delete(branch_id, owner_id=OWNER)
        with pytest.raises(NotFoundError):
            await runs.branches.delete(branch_id, owner_id=OWNER)

    assert {entry.branch_id for entry in await runs.log(run)} == {run.branch_id, (await runs.get(run)).branch_id}
    check_cache(await runs.get(run), await runs.state(run))


async def test_interrupted_branch_deletion_resumes(runs: Runs, run: Run) -> None:
    left = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    await runs.workflows.reset(run.id, owner_id=OWNER, branch_id=left.id)
    await runs.database.collection("branches").update_one({"_id": left.id}, {"$set": {"deleting": True}})

    with pytest.raises(NotFoundError):
        await runs.branches.get(left.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await runs.branches.fork(
            run.id, 11, event(E.WORKFLOW_RESUMED), owner_id=OWNER, branch_id=(await runs.get(run)).branch_id
        )
    await runs.branches.delete(left.id, owner_id=OWNER)
    assert left.id not in {entry.branch_id for entry in await runs.log(run)}


async def test_endless_forking_is_refused(runs: Runs, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "MAX_LINEAGE", 2)
    await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    now = await runs.get(run)
    await runs.append(run, step_started("write"), asked("write", "draft", "f9"))

    with pytest.raises(ConflictError, match="begin a new run"):
        await runs.states.branch_from_interaction(run.id, "f9", owner_id=OWNER, branch_id=now.branch_id)
