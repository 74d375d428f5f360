"""Scenarios of ``ContentRepository``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from appdb import ContentRepository, TaskQueue
from appdb._driver import RawDocument
from appdb.models import Content, ContentKind, Generation, NewContent, NewGeneration, Origin
from appsupport.scenarios.held_tasks import Held, hold, queued
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import opened, run_of

BEGUN = datetime(2020, 1, 1, tzinfo=UTC)
INTERACTION = "int_" + "1" * 32
"""An interaction of every stage's owner: whose generations they are is told by the owner alone."""
OTHERS = 10


def of_a_run(run_id: str) -> Origin:
    return Origin(run_id=run_id, interaction_id=INTERACTION)


def item(text: str = "picture", **changes: Any) -> NewContent:
    """Return an item that has *text* wherever it may."""
    names = dict.fromkeys(("key", "role", "media_type", "filename", "caption"), text)
    return NewContent(**(names | {"kind": ContentKind.IMAGE, "data": b"data"} | changes))


async def begun(stage: Stage) -> Held:
    held = await hold(stage)
    contents, given = ContentRepository(stage.database), {"operation": "draw", "provider": "local"}
    await contents.begin(held.lease, held.task, **given, source_data={}, origin=of_a_run(await opened(stage)))
    return held


async def begun_id(stage: Stage) -> str:
    return (await begun(stage)).task.id


async def generation(stage: Stage) -> Generation:
    """Make a generation of a run with two items, and others of no run, and return the first one."""
    made, contents = await content(stage), ContentRepository(stage.database)
    for _ in range(OTHERS):
        new = NewGeneration(task_id=await queued(stage), provider="local", operation="draw", request={})
        await contents.record(new, owner_id=stage.owner)
    return await contents.get_generation(made.generation_id, owner_id=stage.owner)


async def generation_id(stage: Stage) -> str:
    return (await generation(stage)).id


async def run_id(stage: Stage) -> str:
    await generation(stage)
    return run_of(stage.owner)


async def interaction_id(stage: Stage) -> str:
    await generation(stage)
    return INTERACTION


async def content(stage: Stage) -> Content:
    """Make an item with a preview of its own, and return it."""
    held = await begun(stage)
    contents = ContentRepository(stage.database)
    await contents.store(held.lease, held.task, item("preview"), seq=0)
    return await contents.store(held.lease, held.task, item(preview_key="preview"), seq=1)


async def content_id(stage: Stage) -> str:
    return (await content(stage)).id


async def finished_id(stage: Stage) -> str:
    """Make an item of a task that has ended, and return its id."""
    held = await begun(stage)
    contents = ContentRepository(stage.database)
    await contents.store(held.lease, held.task, item("preview"), seq=0)
    made = await contents.store(held.lease, held.task, item(preview_key="preview"), seq=1)
    await TaskQueue(stage.database).complete(held.lease)
    return made.id


async def task_with_content(stage: Stage) -> str:
    return (await content(stage)).task_id


async def _read(contents: ContentRepository, made: Content) -> bytes:
    parts: AsyncIterator[bytes] = contents.read(made)
    return b"".join([part async for part in parts])


def _origin(text: str) -> Origin:
    return Origin(interaction_id=text, prompt_id=text)


def _origin_of(read: Generation) -> dict[str, object]:
    return {f"origin.{name}": getattr(read, name) for name in ("interaction_id", "prompt_id")}


async def _record_text(stage: Stage, text: str) -> Mapping[str, object]:
    contents, given = ContentRepository(stage.database), hostile_json(text)
    new = NewGeneration(
        task_id=await queued(stage),
        provider=text,
        operation=text,
        request=given,
        source_data=given,
        origin=_origin(text),
    )
    await contents.record(new, owner_id=stage.owner)
    (read,) = await contents.list_for_interaction(text, owner_id=stage.owner)
    stored = {"operation": read.operation, "provider": read.provider, "request": told(text, read.request)}
    stored |= {"source_data": told(text, read.source_data)} | _origin_of(read)
    return {f"generation.{name}": value for name, value in stored.items()}


async def _begin_text(stage: Stage, text: str) -> Mapping[str, object]:
    held = await hold(stage)
    contents = ContentRepository(stage.database)
    await contents.begin(
        held.lease, held.task, operation=text, provider=text, source_data=hostile_json(text), origin=_origin(text)
    )
    read = await contents.generation(held.task.id, owner_id=stage.owner)
    stored = {"operation": read.operation, "provider": read.provider, "source_data": told(text, read.source_data)}
    return stored | _origin_of(read)


async def _report_text(stage: Stage, text: str) -> Mapping[str, object]:
    held = await begun(stage)
    contents = ContentRepository(stage.database)
    await contents.report(held.lease, provider_task_id=text, usage=hostile_json(text))
    read = await contents.generation(held.task.id, owner_id=stage.owner)
    return {"provider_task_id": read.provider_task_id, "usage": told(text, read.usage)}


async def _store_text(stage: Stage, text: str) -> Mapping[str, object]:
    held = await begun(stage)
    contents = ContentRepository(stage.database)
    made = await contents.store(held.lease, held.task, item(text), seq=0)
    other = await contents.store(held.lease, held.task, item("other", preview_key=text), seq=1)
    read = await contents.get(made.id, owner_id=stage.owner)
    names = ("key", "role", "media_type", "filename", "caption")
    return {f"item.{name}": getattr(read, name) for name in names} | {
        "item.preview_key": text if other.preview_id == made.id and read.is_preview else other.preview_id
    }


def _content(number: int) -> RawDocument:
    task = f"tq_{number % 2_000:032x}"
    base = {"_id": f"gc_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "task_id": task, "index": number}
    parts = {"generation_id": f"cgm_{number:032x}", "preview_id": f"gc_{number // 2:032x}" if number % 2 else None}
    return base | parts | {"created_at": BEGUN, "file_id": f"file_{number:032x}"}


def _generation(number: int) -> RawDocument:
    base = {"_id": f"cgm_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "task_id": f"tq_{number:032x}"}
    named = {"run_id": f"wf_{number:032x}", "interaction_id": INTERACTION}
    origin = named if number % 2 else dict.fromkeys(named)
    return base | origin | {"created_at": BEGUN}


def _bytes(number: int) -> RawDocument:
    """Return what GridFS has of an upload of long ago, which the item of the same number names."""
    return {"_id": f"file_{number:032x}", "length": 4, "chunkSize": 4, "uploadDate": BEGUN}


def _begin(contents: ContentRepository, made: Held, _: str) -> Any:
    return contents.begin(made.lease, made.task, operation="draw", provider="local", source_data={})


def _store(contents: ContentRepository, made: Held, _: str) -> Any:
    return contents.store(made.lease, made.task, item(), seq=0)


def _record(contents: ContentRepository, made: str, owner_id: str) -> Any:
    new = NewGeneration(task_id=made, provider="local", operation="draw", request={})
    return contents.record(new, owner_id=owner_id)


def _about(name: str, prepare: Any, about: str = "") -> Scenario:
    """Return the scenario of a method whose first parameter is what was prepared."""

    def call(contents: Any, made: Any, owner_id: str) -> Any:
        return getattr(contents, name)(made, owner_id=owner_id)

    return Scenario(method=f"ContentRepository.{name}", about=about, prepare=prepare, call=call)


def _next(name: str, *of: str) -> Scenario:
    """Return the scenario of the page after a generation."""

    def call(contents: Any, made: Any, owner_id: str) -> Any:
        return getattr(contents, name)(*of, owner_id=owner_id, before=made)

    return Scenario(method=f"ContentRepository.{name}", about="the next", prepare=generation_id, call=call)


SCENES = Scenes(
    subject=ContentRepository,
    scenarios=(
        Scenario(method="ContentRepository.record", prepare=queued, call=_record),
        Scenario(method="ContentRepository.begin", prepare=hold, call=_begin),
        Scenario(
            method="ContentRepository.report",
            prepare=begun,
            call=lambda contents, made, _: contents.report(made.lease, provider_task_id="p1", usage={"seconds": 1}),
        ),
        Scenario(method="ContentRepository.store", prepare=begun, call=_store),
        _about("get", content_id),
        _about("list_for_task", task_with_content),
        Scenario(
            method="ContentRepository.page",
            prepare=task_with_content,
            call=lambda contents, _, owner_id: contents.page(owner_id=owner_id),
        ),
        Scenario(
            method="ContentRepository.page",
            about="the next",
            prepare=content_id,
            call=lambda contents, made, owner_id: contents.page(owner_id=owner_id, before=made),
        ),
        _about("generation", begun_id),
        _about("get_generation", generation_id),
        _about("list_for_interaction", interaction_id),
        _next("list_for_interaction", INTERACTION),
        _about("list_for_run", run_id),
        Scenario(
            method="ContentRepository.list_for_run",
            about="the next",
            prepare=generation_id,
            call=lambda contents, made, owner_id: contents.list_for_run(
                run_of(owner_id), owner_id=owner_id, before=made
            ),
        ),
        Scenario(
            method="ContentRepository.list_for_owner",
            prepare=generation_id,
            call=lambda contents, _, owner_id: contents.list_for_owner(owner_id=owner_id),
        ),
        _next("list_for_owner"),
        Scenario(
            method="ContentRepository.read", prepare=content, call=lambda contents, made, _: _read(contents, made)
        ),
        _about("delete", finished_id),
        _about("delete_generation", generation_id),
        _about("delete_run", run_id),
        Scenario(method="ContentRepository.sweep", prepare=content, call=lambda contents, _, __: contents.sweep()),
    ),
    texts=(
        Text(
            method="ContentRepository.record",
            fields=(
                "generation.provider",
                "generation.operation",
                "generation.request",
                "generation.source_data",
                "generation.origin.interaction_id",
                "generation.origin.prompt_id",
            ),
            store=_record_text,
        ),
        Text(
            method="ContentRepository.begin",
            fields=(
                "operation",
                "provider",
                "source_data",
                "origin.interaction_id",
                "origin.prompt_id",
            ),
            store=_begin_text,
        ),
        Text(method="ContentRepository.report", fields=("provider_task_id", "usage"), store=_report_text),
        Text(
            method="ContentRepository.store",
            fields=(
                "item.key",
                "item.role",
                "item.media_type",
                "item.filename",
                "item.caption",
                "item.preview_key",
            ),
            store=_store_text,
        ),
    ),
    plain=frozenset(
        {
            "owner_id",
            "content_id",
            "generation_id",
            "task_id",
            "before",
            "token",
            "worker_id",
            "limit_keys",
            "delete_run.run_id",
            "origin.run_id",
            "generation.origin.run_id",
            "origin.branch_id",
            "origin.step",
            "origin.module",
            "origin.sub_action_id",
            "generation.origin.branch_id",
            "generation.origin.step",
            "generation.origin.module",
            "generation.origin.sub_action_id",
            "list_for_run.run_id",
            "list_for_interaction.interaction_id",
        }
    ),
    crowds={
        "generated_content": _content,
        "content_generation_metadata": _generation,
        "media.files": _bytes,
    },
)
