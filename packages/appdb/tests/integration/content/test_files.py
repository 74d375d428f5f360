"""FileRepository against a real server: one file of a name, small or large alike, and no bytes left behind."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from gridfs import GridFSBucket
from pymongo import MongoClient

from appdb import Database, FileRepository, InvalidDataError, NotFoundError, TooLargeError
from appdb._queries import workflow_files as queries
from appdb._queries.paging import BY_ID
from appdb.content.run_files import MAX_INLINE_BYTES
from appdb.models import FileCategory, FileFormat, FileRole, NewFile
from appdb.utils import uuid7_at
from appsupport.runs.run_repositories import open_run

OWNER, OTHER, RUN = "usr_a", "usr_b", "wf_1"
HOSTILE = ["$lease.token", "$$NOW", "a.b", "", "😀", "\x00\x01", "{$gt: ''}", "$where"]
LARGE = "ü" * MAX_INLINE_BYTES
AGE = timedelta(hours=1)


@pytest.fixture
async def files(database: Database) -> FileRepository:
    await open_run(database, RUN)
    return FileRepository(database)


def new(name: str = "note.txt", content: Any = "hello", **more: Any) -> NewFile:
    given: dict[str, Any] = {"run_id": RUN, "branch_id": "br_1", "category": FileCategory.OUTPUTS}
    return NewFile(name=name, content=content, **given | more)


async def bytes_kept(database: Database) -> int:
    return await database.collection("files.files").count_documents({})


@pytest.mark.parametrize(
    "text", ["", "x", "a" * MAX_INLINE_BYTES, "a" * (MAX_INLINE_BYTES + 1), LARGE, "$where\x00\r\n"]
)
async def test_text_comes_back_from_any_store(files: FileRepository, database: Database, text: str) -> None:
    written = await files.put(new(content=text), owner_id=OWNER)
    found = await files.get(written.id, owner_id=OWNER)

    assert (found.text, found.content, found.size) == (text, text, len(text.encode()))
    assert await bytes_kept(database) == int(found.size > MAX_INLINE_BYTES)


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        10**40,
        0.1,
        "text",
        [],
        {"b": 1, "a": {"$ref": "#/x", "$id": "y", "$db": "z"}, "": {"$where": "a.b", "a.b": "$lease.token"}},
        {"rows": [{"$set": "$$NOW"}] * 20_000},
    ],
)
async def test_json_comes_back_as_given(files: FileRepository, value: Any) -> None:
    written = await files.put(new("r.json", value, format=FileFormat.JSON), owner_id=OWNER)
    found = await files.newest(RUN, "r.json", owner_id=OWNER)

    assert (found.id, found.content) == (written.id, value)
    assert list(json.loads(found.text)) == list(value) if isinstance(value, dict) else True


@pytest.mark.parametrize("content", ["small", LARGE])
async def test_writing_again_replaces_and_keeps_id(files: FileRepository, database: Database, content: str) -> None:
    first = await files.put(new(content=LARGE), owner_id=OWNER)
    second = await files.put(new(content=content, role=FileRole.OUTPUT), owner_id=OWNER)
    (listed,) = await files.page(RUN, owner_id=OWNER)

    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.updated_at >= first.updated_at
    assert (listed, listed.role) == (second, FileRole.OUTPUT)
    assert (await files.get(first.id, owner_id=OWNER)).text == content
    assert await bytes_kept(database) == int(content == LARGE)


@pytest.mark.parametrize("content", ["small", LARGE])
async def test_transaction_reads_its_own_file(files: FileRepository, database: Database, content: str) -> None:
    async def body(session: Any) -> list[Any]:
        written = await files.put(new(content=content), owner_id=OWNER, session=session)
        by_id = await files.get(written.id, owner_id=OWNER, session=session)
        by_name = await files.newest(RUN, written.name, owner_id=OWNER, session=session)
        (listed,) = await files.page(RUN, owner_id=OWNER, session=session)
        unseen = await files.page(RUN, owner_id=OWNER)
        return [by_id.text, by_name.text, listed.id == written.id, unseen]

    assert await database.transaction(body) == [content, content, True, []]


async def test_transaction_reads_file_replaced_since(files: FileRepository, database: Database) -> None:
    first = await files.put(new(content=LARGE), owner_id=OWNER)

    async def body(session: Any) -> str:
        await files.page(RUN, owner_id=OWNER, session=session)
        await files.put(new(content=f"new {LARGE}"), owner_id=OWNER)
        return (await files.get(first.id, owner_id=OWNER, session=session)).text

    assert await database.transaction(body) == LARGE
    assert (await files.get(first.id, owner_id=OWNER)).text == f"new {LARGE}"


async def test_every_key_part_separates_files(files: FileRepository, database: Database) -> None:
    parts: list[dict[str, Any]] = [
        {},
        {"run_id": await open_run(database, "wf_2")},
        {"branch_id": "br_2"},
        {"category": FileCategory.ROOT},
        {"group": "g"},
        {"name": "other"},
    ]
    written = [await files.put(new(**part), owner_id=OWNER) for part in parts]
    foreign = await files.put(new(run_id=await open_run(database, "wf_3", owner_id=OTHER)), owner_id=OTHER)

    assert len({file.id for file in [*written, foreign]}) == 7


async def test_concurrent_writers_leave_one_file(files: FileRepository, database: Database, mongo_uri: str) -> None:
    async with Database(mongo_uri, database.name) as second:
        writers = [files, FileRepository(second)]
        for number in range(50):
            texts = [f"{number}-{who} " + LARGE if (number + who) % 3 else f"{number}-{who}" for who in range(2)]
            reading = asyncio.create_task(_newest(files)) if number else None
            one, other = await asyncio.gather(
                *[writer.put(new(content=text), owner_id=OWNER) for writer, text in zip(writers, texts, strict=True)]
            )
            found = await files.get(one.id, owner_id=OWNER)

            assert one.id == other.id
            assert found.text in texts
            assert await bytes_kept(database) == int(found.file_id is not None)
            assert reading is None or (await reading).startswith((f"{number - 1}-", f"{number}-"))
    (listed,) = await files.page(RUN, owner_id=OWNER)
    assert await bytes_kept(database) == int(listed.file_id is not None)


async def _newest(files: FileRepository) -> str:
    return (await files.newest(RUN, "note.txt", owner_id=OWNER)).text


async def test_newest_file_is_last_written(files: FileRepository) -> None:
    for branch, group in [("br_1", ""), ("br_2", "g"), ("br_1", "")]:
        await files.put(new(content=f"{branch}{group}", branch_id=branch, group=group), owner_id=OWNER)
        await asyncio.sleep(0.005)
    await files.put(new(content="root", category=FileCategory.ROOT), owner_id=OWNER)
    outputs = FileCategory.OUTPUTS

    assert (await files.newest(RUN, "note.txt", owner_id=OWNER)).text == "root"
    assert (await files.newest(RUN, "note.txt", owner_id=OWNER, category=outputs)).text == "br_1"
    with pytest.raises(NotFoundError):
        await files.newest(RUN, "none", owner_id=OWNER)


async def test_pages_hold_every_file_once_in_order(files: FileRepository) -> None:
    made = [
        await files.put(
            new(f"f{n}", category=FileCategory.ROOT if n % 3 == 0 else FileCategory.OUTPUTS, group=f"g{n % 2}"),
            owner_id=OWNER,
        )
        for n in range(12)
    ]

    async def all_of(**wanted: Any) -> list[str]:
        seen: list[str] = []
        while page := await files.page(RUN, owner_id=OWNER, limit=5, after=seen[-1] if seen else None, **wanted):
            seen += [file.id for file in page]
        return seen

    outputs = [file for file in made if file.category is FileCategory.OUTPUTS]
    assert await all_of() == [file.id for file in made]
    assert await all_of(category=FileCategory.OUTPUTS) == [file.id for file in outputs]
    assert await all_of(category=FileCategory.OUTPUTS, group="g1") == [f.id for f in outputs if f.group == "g1"]
    with pytest.raises(ValueError, match="category"):
        await files.page(RUN, owner_id=OWNER, group="g1")


async def test_calls_show_files_of_each_role(files: FileRepository) -> None:
    for group in ("call_1", "call_2", "call_3"):
        for role in FileRole:
            for number in range(2 if role in {FileRole.INPUT, FileRole.OUTPUT} else 1):
                content = LARGE if role is FileRole.RESPONSE else role
                file = new(f"{role}{number}", content, category=FileCategory.API_CALLS, group=group, role=role)
                await files.put(file, owner_id=OWNER)
        await files.put(new("log", category=FileCategory.API_CALLS, group=group), owner_id=OWNER)
    await files.put(new("out", group="call_2"), owner_id=OWNER)
    first = await files.calls(RUN, owner_id=OWNER, limit=2)
    rest = await files.calls(RUN, owner_id=OWNER, limit=2, before=first[-1].group)

    assert [call.group for call in [*first, *rest]] == ["call_3", "call_2", "call_1"]
    for call in [*first, *rest]:
        assert [f.name if f else None for f in (call.request, call.response, call.schema_, call.metadata)] == [
            "request0",
            "response0",
            "schema0",
            "metadata0",
        ]
        assert [file.name for file in call.inputs] == ["input0", "input1"]
        assert [file.name for file in call.outputs] == ["output0", "output1"]
        assert [file.name for file in call.others] == ["log"]
        assert all(file.group == call.group for file in [*call.inputs, *call.outputs, *call.others])
    assert first[0].response is not None
    assert (await files.get(first[0].response.id, owner_id=OWNER)).text == LARGE


async def test_call_shows_newest_file_of_role(files: FileRepository) -> None:
    for branch in ("br_2", "br_1"):
        file = new("r", branch, category=FileCategory.API_CALLS, group="c", role=FileRole.RESPONSE, branch_id=branch)
        await files.put(file, owner_id=OWNER)
    (call,) = await files.calls(RUN, owner_id=OWNER)

    assert call.response is not None
    assert call.response.branch_id == "br_1"


async def test_deletion_for_run_deletes_bytes_and_spares_others(files: FileRepository, database: Database) -> None:
    await open_run(database, "wf_2")
    for run_id, name in [(RUN, "a"), (RUN, "b"), ("wf_2", "a")]:
        await files.put(new(name, LARGE, run_id=run_id), owner_id=OWNER)
        await files.put(new(f"{name}.small", run_id=run_id), owner_id=OWNER)

    assert await files.delete_run(RUN, owner_id=OTHER) == 0
    assert await files.delete_run(RUN, owner_id=OWNER) == 4
    assert await files.delete_run(RUN, owner_id=OWNER) == 0
    assert [file.name for file in await files.page("wf_2", owner_id=OWNER)] == ["a", "a.small"]
    assert await bytes_kept(database) == 1


async def test_another_owner_finds_nothing(files: FileRepository) -> None:
    file = await files.put(new(category=FileCategory.API_CALLS), owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await files.get(file.id, owner_id=OTHER)
    with pytest.raises(NotFoundError):
        await files.newest(RUN, file.name, owner_id=OTHER)

    with pytest.raises(NotFoundError):
        await files.page(RUN, owner_id=OTHER)
    with pytest.raises(NotFoundError):
        await files.calls(RUN, owner_id=OTHER)
    with pytest.raises(NotFoundError):
        await files.put(new(), owner_id=OTHER)


@pytest.mark.parametrize("value", HOSTILE)
async def test_user_text_stays_text(files: FileRepository, database: Database, value: str) -> None:
    name = value if value and value.isprintable() else OWNER
    key = value.replace("\x00", "")  # which no field's name can hold
    metadata = {key: value, "nested": [{"$ref": value, "$id": value}, {"$gt": {key: "$x"}}]}
    run_id = await open_run(database, f"wf_{name}", owner_id=name)
    file = new(
        value,
        value,
        run_id=run_id,
        branch_id=name,
        category=FileCategory.API_CALLS,
        group=value,
        role=FileRole.INPUT,
        metadata=metadata,
    )
    written = await files.put(file, owner_id=name)
    found = await files.newest(run_id, value, owner_id=name)
    (call,) = await files.calls(run_id, owner_id=name)

    assert (found.group, found.name, found.text) == (value,) * 3
    assert found.branch_id == name
    assert found.metadata == written.metadata == metadata
    assert [listed.id for listed in await files.page(run_id, owner_id=name)] == [found.id]
    assert (call.group, call.inputs) == (value, [written])


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"content": {"a": 1}}, InvalidDataError),
        ({"content": "\ud800"}, InvalidDataError),
        ({"content": float("nan"), "format": FileFormat.JSON}, InvalidDataError),
        ({"content": "x" * (32 * 1024 * 1024 + 1)}, TooLargeError),
        ({"metadata": {"a": "x" * 20_000}}, TooLargeError),
        ({"metadata": {"a\x00": 1}}, InvalidDataError),
        ({"metadata": {"a": 2**70}}, InvalidDataError),
        ({"name": "x" * 5_000}, InvalidDataError),
        ({"name": "x" * 3_000, "group": "x" * 3_000}, TooLargeError),
        ({"category": "outputs"}, InvalidDataError),
        ({"run_id": "x" * 5_000_000}, InvalidDataError),
        ({"branch_id": "a\x00"}, InvalidDataError),
        ({"metadata": [1]}, InvalidDataError),
        ({"group": "\ud800"}, InvalidDataError),
    ],
)
async def test_unstorable_file_is_refused_whole(
    files: FileRepository, database: Database, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await files.put(new(**wrong), owner_id=OWNER)

    assert await files.page(RUN, owner_id=OWNER) == []
    assert await bytes_kept(database) == 0


async def test_write_joins_transaction_and_keeps_old_bytes(files: FileRepository, database: Database) -> None:
    await files.put(new(content=LARGE), owner_id=OWNER)

    async def body(session: Any) -> None:
        await files.put(new(content="other"), owner_id=OWNER, session=session)
        assert await files.delete_run(RUN, owner_id=OWNER, session=session) == 1
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(body)

    assert (await files.newest(RUN, "note.txt", owner_id=OWNER)).text == LARGE


async def test_unknown_fields_of_newer_release_survive(files: FileRepository, database: Database) -> None:
    file = await files.put(new(), owner_id=OWNER)
    await database.collection("workflow_files").update_one({"_id": file.id}, {"$set": {"newer": {"a.b": 1}}})
    await files.put(new(content="again"), owner_id=OWNER)

    assert (await database.collection("workflow_files").find_one({"_id": file.id}) or {})["newer"] == {"a.b": 1}


async def test_sweep_spares_named_and_young_bytes(files: FileRepository, database: Database, mongo_uri: str) -> None:
    now = await database.server_time()
    kept = await files.put(new(content=LARGE), owner_id=OWNER)
    old = uuid7_at("file_", now - 2 * AGE)
    with MongoClient[dict[str, object]](mongo_uri) as client:
        grid = GridFSBucket(client[database.name], "files")
        grid.upload_from_stream_with_id(old, "lost", b"x" * 600_000)
        grid.upload_from_stream_with_id(uuid7_at("file_", now - 3 * AGE), "empty", b"")
        grid.upload_from_stream_with_id(uuid7_at("file_", now), "young", b"x")

    assert await files.sweep(older_than=AGE) == 2
    assert await files.sweep(older_than=AGE) == 0
    assert (await files.get(kept.id, owner_id=OWNER)).text == LARGE
    assert await bytes_kept(database) == 2
    assert await database.collection("files.chunks").count_documents({"files_id": old}) == 0


CASES: dict[str, tuple[dict[str, Any], dict[str, int], int]] = {
    "run": (queries.page(RUN, OWNER, None, None, None), dict(BY_ID), 5),
    "category": (queries.page(RUN, OWNER, FileCategory.OUTPUTS, None, None), dict(BY_ID), 5),
    "group": (queries.page(RUN, OWNER, FileCategory.OUTPUTS, "g1", None), dict(BY_ID), 5),
    "newest": (queries.named(RUN, OWNER, "f1", None), dict(queries.NEWEST_FIRST), 1),
}


@pytest.fixture
async def crowded(files: FileRepository, database: Database) -> Database:
    """Many files of others, and twenty calls and outputs of each of three groups of one run."""
    base = {"owner_id": OTHER, "branch_id": "b", "category": "api_calls", "name": "f1", "updated_at": None}
    others = [{"_id": f"wff_{n}", "run_id": f"wf_{n % 9}", "group": f"g{n}", **base} for n in range(5_000)]
    await database.collection("workflow_files").insert_many(others)
    for category in (FileCategory.OUTPUTS, FileCategory.API_CALLS):
        for n in range(60):
            await files.put(new(f"f{n}", category=category, group=f"g{n % 3}"), owner_id=OWNER)
    return database


@pytest.mark.parametrize("name", CASES)
async def test_keys_examined_stay_close_to_results(crowded: Database, name: str) -> None:
    match, sort, limit = CASES[name]
    command = {"find": "workflow_files", "filter": match, "sort": sort, "limit": limit}
    answer = await crowded.raw.command({"explain": command, "verbosity": "executionStats"})
    stats = answer["executionStats"]

    assert stats["nReturned"] == limit
    assert stats["totalKeysExamined"] <= limit + 1
    assert "'stage': 'SORT'" not in str(stats)


async def test_calls_read_only_their_own_files(crowded: Database) -> None:
    pipeline = queries.calls(RUN, OWNER, None, 2)
    command = {"aggregate": "workflow_files", "pipeline": pipeline, "cursor": {}}
    answer = await crowded.raw.command({"explain": command, "verbosity": "executionStats"})
    (cursor,) = [stage["$cursor"]["executionStats"] for stage in answer["stages"] if "$cursor" in stage]
    (lookup,) = [stage for stage in answer["stages"] if "$lookup" in stage]

    assert "DISTINCT_SCAN" in str(cursor)
    assert cursor["totalKeysExamined"] <= 4
    assert (lookup["totalDocsExamined"], lookup["collectionScans"]) == (40, 0)
    assert lookup["totalKeysExamined"] <= 42
