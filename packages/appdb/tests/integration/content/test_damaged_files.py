"""Run files that other software damaged: each is named by the error, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appdb import Database, FileRepository, UnreadableError, WorkflowRepository
from appdb.content.run_files import MAX_INLINE_BYTES
from appdb.models import FileCategory, FileFormat, NewFile, WorkflowFile
from appsupport.runs.run_repositories import open_run

OWNER, RUN = "usr_a", "wf_1"
LARGE = "ü" * MAX_INLINE_BYTES


@pytest.fixture
async def files(database: Database) -> FileRepository:
    await open_run(database, RUN)
    return FileRepository(database)


async def put(files: FileRepository, content: Any, **more: Any) -> WorkflowFile:
    new = NewFile(run_id=RUN, branch_id="br_1", category=FileCategory.OUTPUTS, name="a", content=content, **more)
    return await files.put(new, owner_id=OWNER)


async def damage(database: Database, file: WorkflowFile, change: dict[str, Any]) -> None:
    await database.collection("workflow_files").update_one({"_id": file.id}, change)


def reads(files: FileRepository, file: WorkflowFile) -> list[Callable[[], Awaitable[object]]]:
    return [
        lambda: files.get(file.id, owner_id=OWNER),
        lambda: files.newest(RUN, "a", owner_id=OWNER),
    ]


@pytest.mark.parametrize(
    ("content", "field"),
    [("small", "run_id"), ("small", "text"), ("small", "size"), (LARGE, "size"), (LARGE, "file_id"), (LARGE, "run_id")],
)
async def test_file_that_lacks_field_is_named(
    files: FileRepository, database: Database, content: str, field: str
) -> None:
    file = await put(files, content)
    await damage(database, file, {"$unset": {field: ""}})

    # By its id alone where its run is not known any more.
    for read in reads(files, file)[: 1 if field == "run_id" else 2]:
        with pytest.raises(UnreadableError, match=f"FileDocument {file.id} cannot be read"):
            await read()


@pytest.mark.parametrize("change", [{"text": 7}, {"size": "many"}, {"file_id": {"odd": 1}}])
async def test_file_of_odd_field_is_named(files: FileRepository, database: Database, change: dict[str, Any]) -> None:
    file = await put(files, "small")
    await damage(database, file, {"$set": change})

    with pytest.raises(UnreadableError, match=file.id):
        await files.get(file.id, owner_id=OWNER)


async def test_bytes_that_are_no_utf_8_are_named(files: FileRepository, database: Database) -> None:
    file = await put(files, LARGE)
    await damage(database, file, {"$inc": {"size": -1}})  # the last letter has two bytes

    with pytest.raises(UnreadableError, match=f"{file.id} cannot be read .its bytes are no UTF-8"):
        await files.get(file.id, owner_id=OWNER)


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "1" * 5_000, "no json"])
async def test_text_that_is_no_json_is_named(files: FileRepository, database: Database, text: str) -> None:
    file = await put(files, {"a": 1}, format=FileFormat.JSON)
    await damage(database, file, {"$set": {"text": text}})
    found = await files.get(file.id, owner_id=OWNER)

    assert found.text == text
    with pytest.raises(UnreadableError, match=f"{file.id} cannot be read .its text is no JSON"):
        _ = found.content


async def test_run_with_damaged_files_is_deleted(files: FileRepository, database: Database) -> None:
    file = await put(files, LARGE)
    await damage(database, file, {"$unset": {"file_id": ""}})
    await WorkflowRepository(database).delete(RUN, owner_id=OWNER)

    assert await database.collection("workflow_files").count_documents({}) == 0
