"""A stored document that cannot be read costs itself alone: its neighbours are listed and worked with as before."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from appdb import AppDbError, Database, NewTask, TaskQueue, UnreadableError, uuid7_str
from appsupport.documents.damaged_documents import MARK, damage
from appsupport.scenarios.scenario import Scenario, Stage
from appsupport.scenarios.table import SCENARIOS, made_for, methods

WRITES = {"EventRepository.append", "TaskQueue.claim", "VersionRepository.sync_copy"}
"""What returns a list and changes what it returns."""
WHOLE = {
    "BranchRepository.delete": "the twin of a branch that goes on from another one does so too",
    "FileRepository.newest": "the newest one is the one that cannot be read",
    "VersionRepository.deduplicate": "of copies that cannot be compared none is deleted",
    "VersionRepository.latest_source": "the newest one is the one that cannot be read",
}
"""What is about one subject that cannot do without the damaged document, and why: it raises, and names it."""


def _is_list(scenario: Scenario) -> bool:
    returned = typing.get_type_hints(methods()[scenario.method])["return"]
    elements = typing.get_args(returned)
    return typing.get_origin(returned) is list and hasattr(elements[0], "from_document")


def _named(*, lists: bool) -> list[str]:
    left_out = WRITES | WHOLE.keys()
    return sorted(
        name for name, scenario in SCENARIOS.items() if scenario.method not in left_out and _is_list(scenario) is lists
    )


async def _prepared(name: str, database: Database) -> tuple[Any, Any, str]:
    scenario, stage = SCENARIOS[name], Stage(database=database, owner=uuid7_str("usr_"))
    return made_for(scenario, database), await scenario.prepare(stage), stage.owner


@pytest.mark.parametrize("name", _named(lists=True))
async def test_list_skips_unreadable_documents(name: str, database: Database) -> None:
    given = await _prepared(name, database)
    before = _names(await SCENARIOS[name].call(*given))
    await damage(database)
    after = _names(await SCENARIOS[name].call(*given))

    assert after == before


async def test_page_is_full_despite_unreadable_documents(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    queue = TaskQueue(database)
    good = [(await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={"n": n}))).id for n in range(6)]
    await damage(database)
    first = await queue.page(owner_id="usr_a", limit=4)
    rest = await queue.page(owner_id="usr_a", before=first[-1].id, limit=4)

    assert [task.id for task in [*first, *rest]] == good[::-1]
    assert {str(getattr(record, "document_id", "")) for record in caplog.records} >= {f"{one}{MARK}" for one in good}


async def test_requested_unreadable_document_is_named(database: Database) -> None:
    queue = TaskQueue(database)
    task = await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}))
    await database.collection("tasks").update_one({"_id": task.id}, {"$set": {"priority": 0.5}})
    with pytest.raises(UnreadableError, match=rf"Task {task.id} cannot be read \(priority.*appdb check") as told:
        await queue.get(task.id, owner_id="usr_a")

    assert (told.value.kind, told.value.document_id) == ("Task", task.id)


@pytest.mark.parametrize("name", _named(lists=False))
async def test_single_document_call_ignores_damaged_neighbours(name: str, database: Database) -> None:
    given = await _prepared(name, database)
    await damage(database)
    await SCENARIOS[name].call(*given)


@pytest.mark.parametrize("name", sorted(name for name, scenario in SCENARIOS.items() if scenario.method in WHOLE))
async def test_call_needing_damaged_document_tells(name: str, database: Database) -> None:
    given = await _prepared(name, database)
    await damage(database)
    with pytest.raises(AppDbError, match=r"cannot be read|go on from it"):
        await SCENARIOS[name].call(*given)


@pytest.mark.parametrize(
    "odd", [{"state.position.started": "perhaps"}, {"state.modules": 7}, {"state.given": [{}]}], ids=str
)
async def test_unreadable_snapshot_costs_only_time(database: Database, odd: dict[str, Any]) -> None:
    name = "StateRepository.get (from a snapshot)"
    given = await _prepared(name, database)
    before = await SCENARIOS[name].call(*given)
    changed = await database.collection("snapshots").update_many({}, {"$set": odd})
    after = await SCENARIOS[name].call(*given)

    assert changed.modified_count > 0
    assert after == before


@pytest.mark.parametrize(
    ("name", "collection", "odd"),
    [
        ("UserRepository.authenticate", "access_keys", {"scopes": 7}),
        ("UserRepository.authenticate", "users", {"roles": 7}),
        ("FileRepository.get (a large one)", "files.files", {"chunkSize": [None]}),
        ("FileRepository.get (a large one)", "files.files", {"chunkSize": 0}),
        ("StateRepository.get", "branches", {"lineage": []}),
    ],
)
async def test_unreadable_document_is_told_by_its_reader(
    database: Database, name: str, collection: str, odd: dict[str, Any]
) -> None:
    given = await _prepared(name, database)
    await database.collection(collection).update_many({}, {"$set": odd})
    with pytest.raises(UnreadableError):
        await SCENARIOS[name].call(*given)


def _names(answer: Any) -> list[str]:
    return sorted(str(getattr(one, "id", one)) for one in answer)
