"""Scenarios of ``FileRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from appdb import FileRepository
from appdb._driver import RawDocument
from appdb.models import FileCategory, FileFormat, FileRole, NewFile, TaskFile
from appsupport.scenarios.held_tasks import Held, hold
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import opened, run_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LARGE = "large " * 20_000
"""More than is stored inline."""
MANY = 20


def new_file(run_id: str, name: str = "request.json", **changes: Any) -> NewFile:
    """Return a file of a call to a model."""
    fields = {"run_id": run_id, "branch_id": "br_1", "category": FileCategory.API_CALLS, "group": "call_1"}
    return NewFile(**(fields | {"name": name, "content": "hello", "role": FileRole.REQUEST} | changes))


async def file_id(stage: Stage) -> str:
    """Write two files and return the first one's id."""
    files, run_id = FileRepository(stage.database), await opened(stage)
    first = await files.put(new_file(run_id), owner_id=stage.owner)
    await files.put(new_file(run_id, "response.json", role=FileRole.RESPONSE), owner_id=stage.owner)
    return first.id


async def large_id(stage: Stage) -> str:
    new = new_file(await opened(stage), content=LARGE)
    return (await FileRepository(stage.database).put(new, owner_id=stage.owner)).id


async def run_of_calls(stage: Stage) -> str:
    """Write files of many calls, all of one name, and one of that name among others, and return the run's id."""
    files, run_id = FileRepository(stage.database), await opened(stage)
    await files.put(new_file(run_id, category=FileCategory.OUTPUTS), owner_id=stage.owner)
    for number in range(MANY):
        await files.put(new_file(run_id, f"{number}.json", category=FileCategory.OUTPUTS), owner_id=stage.owner)
        await files.put(new_file(run_id, group=f"call_{number:02}"), owner_id=stage.owner)
    return run_id


async def run_of_both(stage: Stage) -> str:
    """Write many small files and a large one, and return the run's id."""
    large = new_file(await opened(stage), content=LARGE, group="large")
    await FileRepository(stage.database).put(large, owner_id=stage.owner)
    return await run_of_calls(stage)


async def _put(files: FileRepository, run_id: str, owner_id: str) -> list[str]:
    """Write a file of the run, and return the names of what its owner finds in it then."""
    await files.put(new_file(run_id), owner_id=owner_id)
    return [file.name for file in await files.page(run_id, owner_id=owner_id)]


async def _put_text(stage: Stage, text: str) -> Mapping[str, object]:
    files, run_id = FileRepository(stage.database), await opened(stage)
    nested = hostile_json(text)
    given = replace(new_file(run_id, text, branch_id=text, group=text, content=text), metadata=nested)
    made = await files.put(given, owner_id=stage.owner)
    other = replace(given, name=f"{text}.json", content=nested, format=FileFormat.JSON)
    json = await files.put(other, owner_id=stage.owner)
    read = await files.get(made.id, owner_id=stage.owner)
    contents = {text: read.content, "JSON": (await files.get(json.id, owner_id=stage.owner)).content}
    assert await files.newest(run_id, text, owner_id=stage.owner) == read
    return {
        "file.branch_id": read.branch_id,
        "file.group": read.group,
        "file.name": read.name,
        "file.content": text if contents == {text: text, "JSON": nested} else contents,
        "file.metadata": told(text, read.metadata),
    }


async def held_of_run(stage: Stage) -> Held:
    """Hold a task that works for the run."""
    return await hold(stage, run_id=await opened(stage))


async def _store_text(stage: Stage, text: str) -> Mapping[str, object]:
    held, files = await held_of_run(stage), FileRepository(stage.database)
    given = TaskFile(name=text, content=text, group=text, metadata=hostile_json(text))
    made = await files.store(held.lease, held.task, given)
    read = await files.get(made.id, owner_id=stage.owner)
    assert (await files.store(held.lease, held.task, given)).id == made.id
    stored = {"group": read.group, "name": read.name, "content": read.content, "metadata": told(text, read.metadata)}
    return {f"file.{name}": value for name, value in stored.items()}


def _file(number: int) -> RawDocument:
    names = {"branch_id": "br_1", "category": "api_calls", "group": f"call_{number}", "name": "request.json"}
    run = {"_id": f"wff_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "run_id": f"wf_{number % 2_000:032x}"}
    times = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    return run | names | times | {"file_id": f"file_{number:032x}" if number % 2 else None}


def _chunk(number: int) -> RawDocument:
    """Return what GridFS has of an upload of long ago, which a file names."""
    return {"files_id": f"file_{number // 2 * 2 + 1:032x}", "n": number % 2, "data": b"data"}


def _about(name: str, prepare: Any, about: str = "", **options: Any) -> Scenario:
    """Return the scenario of a method whose first parameter is what was prepared."""

    def call(files: Any, made: Any, owner_id: str) -> Any:
        return getattr(files, name)(made, owner_id=owner_id, **options)

    return Scenario(method=f"FileRepository.{name}", about=about, prepare=prepare, call=call)


def _newest(about: str, **options: Any) -> Scenario:
    def call(files: Any, made: Any, owner_id: str) -> Any:
        return files.newest(made, "request.json", owner_id=owner_id, **options)

    return Scenario(method="FileRepository.newest", about=about, prepare=run_of_calls, call=call)


SCENES = Scenes(
    subject=FileRepository,
    scenarios=(
        Scenario(method="FileRepository.put", prepare=opened, call=_put),
        Scenario(
            method="FileRepository.store",
            prepare=held_of_run,
            call=lambda files, made, _: files.store(made.lease, made.task, TaskFile(name="note.txt", content="hello")),
        ),
        _about("get", file_id),
        _about("get", large_id, "a large one"),
        _newest(""),
        _newest("of a category", category=FileCategory.OUTPUTS),
        _about("page", run_of_calls),
        _about("page", run_of_calls, "of a category", category=FileCategory.OUTPUTS),
        _about("page", run_of_calls, "of a group", category=FileCategory.API_CALLS, group="call_07"),
        Scenario(
            method="FileRepository.page",
            about="the next",
            prepare=file_id,
            call=lambda files, made, owner_id: files.page(run_of(owner_id), owner_id=owner_id, after=made),
        ),
        _about("calls", run_of_calls, limit=MANY),
        _about("calls", run_of_calls, "the next", before="call_19", limit=MANY),
        _about("delete_run", run_of_calls),
        _about("delete_run", run_of_both, "with bytes"),
        Scenario(method="FileRepository.sweep", prepare=file_id, call=lambda files, _, __: files.sweep()),
    ),
    texts=(
        Text(
            method="FileRepository.put",
            fields=(
                "file.branch_id",
                "file.group",
                "file.name",
                "file.content",
                "file.metadata",
            ),
            store=_put_text,
        ),
        Text(
            method="FileRepository.store",
            fields=("file.group", "file.name", "file.content", "file.metadata"),
            store=_store_text,
        ),
    ),
    plain=frozenset(
        {
            "owner_id",
            "file_id",
            "after",
            "before",
            "file.run_id",
            "task_id",
            "token",
            "worker_id",
            "limit_keys",
            "newest.run_id",
            "newest.name",
            "page.run_id",
            "page.group",
            "calls.run_id",
            "delete_run.run_id",
        }
    ),
    crowds={"workflow_files": _file, "files.chunks": _chunk},
)
