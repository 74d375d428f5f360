"""Scenarios of ``StateRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appdb import BranchRepository, EventRepository, StateRepository
from appdb._driver import RawDocument
from appdb.runs.fold import FOLD_VERSION
from appdb.runs.size_limits import SNAPSHOT_EVERY
from appsupport.runs.run_events import answered, asked, completed, started, step_started
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text
from appsupport.scenarios.staged_runs import FORM, append, begun, branch_of, forked, worked

FAR = datetime(2999, 1, 1, tzinfo=UTC)


async def _long(stage: Stage) -> str:
    """Make a run that is long enough for a snapshot, which is stored, and return its id."""
    run_id = await worked(stage)
    await append(stage, run_id, answered(FORM))
    for first in range(0, 2 * SNAPSHOT_EVERY, 100):
        await append(stage, run_id, *(step_started(f"s{number}") for number in range(first, first + 100)))
        await StateRepository(stage.database).get(run_id, owner_id=stage.owner)
    assert await stage.database.collection("snapshots").count_documents({"run_id": run_id})
    return run_id


def _scene(method: str, *given: Any, about: str = "", prepare: Any = forked, **options: Any) -> Scenario:
    return Scenario(
        method=f"StateRepository.{method}",
        about=about,
        prepare=prepare,
        call=lambda states, made, owner_id: getattr(states, method)(made, *given, owner_id=owner_id, **options),
    )


def _goes_back(method: str, *given: str, about: str = "") -> Scenario:
    return Scenario(
        method=f"StateRepository.{method}",
        about=about,
        prepare=worked,
        call=lambda states, made, owner_id: getattr(states, method)(
            made, *given, owner_id=owner_id, branch_id=branch_of(made)
        ),
    )


async def _jump_text(stage: Stage, text: str) -> Mapping[str, object]:
    states, run_id = StateRepository(stage.database), await begun(stage)
    given = [step_started(text), started(text, text), completed(text, text, value=text)]
    await append(stage, run_id, *given)
    output = await states.module_output(run_id, text, owner_id=stage.owner, step=text)
    assert output is not None
    assert output.data == {"value": text}
    (only,) = await states.retry_context(run_id, text, owner_id=stage.owner, step=text)
    assert only.outputs == {"value": text}
    await states.jump(run_id, text, text, owner_id=stage.owner, branch_id=branch_of(run_id))
    jump = (await EventRepository(stage.database).log(run_id, owner_id=stage.owner))[-1]
    assert (jump.step, jump.module) == (text, text)
    return {"step": jump.data["target_step"], "module": jump.data["target_module"]}


async def _interaction_text(stage: Stage, text: str) -> Mapping[str, object]:
    states, run_id = StateRepository(stage.database), await begun(stage)
    await append(stage, run_id, step_started("a"), asked("a", "m", text), answered(text), asked("a", "m", "other"))
    first, second = await states.interactions(run_id, owner_id=stage.owner)
    assert first.response is not None
    assert (first.request.interaction_id, first.response.interaction_id) == (text, text)
    assert second.response is None
    branch = await states.branch_from_interaction(run_id, text, owner_id=stage.owner, branch_id=branch_of(run_id))
    state = await states.get(run_id, owner_id=stage.owner)
    told = (await EventRepository(stage.database).log(run_id, owner_id=stage.owner))[-1].data["from_interaction_id"]
    assert state.position.interaction_id == text
    assert branch == await BranchRepository(stage.database).current(run_id, owner_id=stage.owner)
    return {"interaction_id": told}


def _snapshot(number: int) -> RawDocument:
    run = number % 2_000
    base = {"_id": f"snap_{number:032x}", "run_id": f"wf_{run:032x}", "owner_id": f"usr_{run:032x}"}
    return base | {"branch_id": f"br_{run:032x}", "fold_version": FOLD_VERSION, "seq": number, "created_at": FAR}


SCENES = Scenes(
    subject=StateRepository,
    scenarios=(
        _scene("get"),
        _scene("read"),
        _scene("get", about="from a snapshot", prepare=_long),
        _scene("at", 5),
        _scene("at", 300, about="from a snapshot", prepare=_long),
        _scene("read_at", 5),
        _scene("read_at", 300, about="from a snapshot", prepare=_long),
        _scene("interactions", prepare=worked),
        _scene("interactions", about="the next", prepare=worked, before=20, limit=5),
        _scene("module_output", "m3"),
        _scene("module_output", "draft", about="in a step", step="write"),
        _scene("retry_context", "m0", prepare=worked),
        _scene("retry_context", "m0", about="in a step", prepare=worked, step="paint"),
        _goes_back("jump", "paint"),
        _goes_back("jump", "paint", "m3", about="to a module"),
        _goes_back("branch_from_interaction", "select_1"),
    ),
    texts=(
        Text(method="StateRepository.jump", fields=("step", "module"), store=_jump_text),
        Text(method="StateRepository.branch_from_interaction", fields=("interaction_id",), store=_interaction_text),
    ),
    plain=frozenset(
        {
            "owner_id",
            "run_id",
            "branch_id",
            "new_branch_id",
            "module_output.module",
            "module_output.step",
            "retry_context.module",
            "retry_context.step",
        }
    ),
    crowds={"snapshots": _snapshot},
)
