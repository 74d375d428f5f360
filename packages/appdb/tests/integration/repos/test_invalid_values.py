"""New values that cannot be stored are refused by name, and nothing of them is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appdb import (
    BranchRepository,
    ConflictError,
    ContentRepository,
    Database,
    DbEventType,
    EventRepository,
    InvalidDataError,
    RegistryRepository,
    StateRepository,
    UserRepository,
    VersionRepository,
    WorkflowRepository,
    uuid7_str,
)
from appdb.models import GLOBAL_OWNER, NewResolvedVersion, NewRun, NewRunEvent, NewUser, NewVersion
from appsupport.scenarios.contents import content
from appsupport.scenarios.registry import actor, worker
from appsupport.scenarios.scenario import Stage
from appsupport.scenarios.staged_runs import branch_of, worked

LONG = "x" * 5_000_000
E = DbEventType
Call = Callable[[Stage, str, str], Awaitable[object]]


def _append(stage: Stage, run_id: str, **changes: Any) -> Awaitable[object]:
    event = NewRunEvent(**({"type": E.WORKFLOW_RESUMED} | changes))
    log = EventRepository(stage.database)
    return log.append(run_id, [event], owner_id=stage.owner, branch_id=branch_of(run_id))


def _fork(stage: Stage, run_id: str, new_branch_id: str) -> Awaitable[object]:
    why, branches = NewRunEvent(type=E.WORKFLOW_RESUMED), BranchRepository(stage.database)
    given: dict[str, Any] = {"owner_id": stage.owner, "branch_id": branch_of(run_id), "new_branch_id": new_branch_id}
    return branches.fork(run_id, 0, why, **given)


def _open(stage: Stage, owner: str | None = None, **changes: Any) -> Awaitable[object]:
    new = NewRun(**({"project": uuid7_str("film ")} | changes))
    return WorkflowRepository(stage.database).open(new, owner_id=owner or stage.owner)


def _jump(stage: Stage, run_id: str, new_branch_id: str) -> Awaitable[object]:
    given: dict[str, Any] = {"owner_id": stage.owner, "branch_id": branch_of(run_id), "new_branch_id": new_branch_id}
    return StateRepository(stage.database).jump(run_id, "paint", **given)


IDS: dict[str, Call] = {
    "run_id": lambda stage, _, bad: _open(stage, run_id=bad),
    "branch_id": lambda stage, _, bad: _open(stage, branch_id=bad),
    "event_id": lambda stage, run_id, bad: _append(stage, run_id, event_id=bad),
    "version_id": lambda stage, run_id, bad: WorkflowRepository(stage.database).set_version(
        run_id, bad, owner_id=stage.owner
    ),
    "new_branch_id": _fork,
    "new_branch_id of a jump": _jump,
    "owner_id": lambda stage, _, bad: _open(stage, owner=bad),
    "owner_id of a template": lambda stage, _, bad: VersionRepository(stage.database).get_or_create_template(
        "film", owner_id=bad
    ),
    "user_id": lambda stage, _, bad: UserRepository(stage.database).create(NewUser(username="ada", user_id=bad)),
    "id": lambda stage, _, bad: RegistryRepository(stage.database).announce(worker(bad), [actor("a")]),
    "name": lambda stage, _, bad: RegistryRepository(stage.database).announce(worker("w"), [actor(bad)]),
}


async def rows_of(database: Database) -> dict[str, int]:
    names = await database.raw.list_collection_names()
    return {name: count for name in names if (count := await database.collection(name).count_documents({}))}


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database=database, owner=uuid7_str("usr_"))


@pytest.mark.parametrize("field", IDS)
@pytest.mark.parametrize("bad", [LONG, "a\x00b", "a\x1fb"], ids=["of megabytes", "with NUL", "with a separator"])
async def test_too_long_or_unprintable_id_is_refused(stage: Stage, field: str, bad: str) -> None:
    run_id = await worked(stage)
    before = await rows_of(stage.database)
    with pytest.raises(InvalidDataError) as caught:
        await IDS[field](stage, run_id, bad)

    assert caught.value.field == field.partition(" ")[0]
    assert await rows_of(stage.database) == before


@pytest.mark.parametrize("kind", ["workflow_resumed", None, 1])
async def test_unknown_event_type_is_refused_by_name(stage: Stage, kind: Any) -> None:
    run_id = await worked(stage)
    with pytest.raises(InvalidDataError, match=r"^type: "):
        await _append(stage, run_id, type=kind)


async def test_taken_version_id_is_conflict(stage: Stage) -> None:
    versions = VersionRepository(stage.database)
    template = await versions.get_or_create_template("film", owner_id=stage.owner)
    other = await versions.get_or_create_template("film", owner_id=GLOBAL_OWNER)
    first = await versions.store(template.id, NewVersion(definition={"a": 1}), owner_id=stage.owner)
    taken = first.source.id
    with pytest.raises(ConflictError, match=taken):
        await versions.store(template.id, NewVersion(definition={"a": 2}, version_id=taken), owner_id=stage.owner)
    again = NewResolvedVersion(definition={"a": 4}, version_id=taken)
    with pytest.raises(ConflictError, match=taken):
        await versions.store(other.id, NewVersion(definition={"a": 3}), owner_id=GLOBAL_OWNER, resolved=[again])

    assert [one.id for one in await versions.list_sources(template.id, owner_id=stage.owner)] == [taken]
    assert await versions.list_sources(other.id, owner_id=GLOBAL_OWNER) == []


@pytest.mark.parametrize("part", [{"start": -1}, {"end": -1}, {"start": 0.5}])
async def test_negative_byte_position_is_refused(stage: Stage, part: dict[str, Any]) -> None:
    contents = ContentRepository(stage.database)
    found = await content(stage)
    with pytest.raises(InvalidDataError, match=next(iter(part))):
        _ = [piece async for piece in contents.read(found, **part)]
