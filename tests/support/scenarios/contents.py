"""Scenarios of ``ContentRepository``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from appdb import ContentRepository
from appdb._driver import RawDocument
from appdb.models.content import Content, ContentKind, NewContent
from scenarios.held import Held, hold
from scenarios.kit import Scenario, Scenes, Stage, Text

BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


def item(text: str = "picture") -> NewContent:
    """Return an item that has *text* wherever it may."""
    return NewContent(
        key=text, kind=ContentKind.IMAGE, role=text, media_type=text, filename=text, data=b"data", caption=text
    )


async def begun(stage: Stage) -> Held:
    held = await hold(stage)
    contents = ContentRepository(stage.database)
    await contents.begin(held.lease, held.task, operation="draw", provider="local", source_data={})
    return held


async def begun_id(stage: Stage) -> str:
    return (await begun(stage)).task.id


async def content(stage: Stage) -> Content:
    held = await begun(stage)
    return await ContentRepository(stage.database).store(held.lease, held.task, item(), seq=0)


async def content_id(stage: Stage) -> str:
    return (await content(stage)).id


async def task_with_content(stage: Stage) -> str:
    return (await content(stage)).task_id


async def _read(contents: ContentRepository, made: Content) -> bytes:
    parts: AsyncIterator[bytes] = contents.read(made)
    return b"".join([part async for part in parts])


async def _begin_text(stage: Stage, text: str) -> Mapping[str, object]:
    held = await hold(stage)
    contents = ContentRepository(stage.database)
    given: dict[str, JsonValue] = {"a": text, "b": {text: [text]}}
    await contents.begin(held.lease, held.task, operation=text, provider=text, source_data=given)
    read = await contents.generation(held.task.id, owner_id=stage.owner)
    source = text if read.source_data == given else read.source_data
    return {"operation": read.operation, "provider": read.provider, "source_data": source}


async def _store_text(stage: Stage, text: str) -> Mapping[str, object]:
    held = await begun(stage)
    contents = ContentRepository(stage.database)
    made = await contents.store(held.lease, held.task, item(text), seq=0)
    read = await contents.get(made.id, owner_id=stage.owner)
    return {f"item.{name}": getattr(read, name) for name in ("key", "role", "media_type", "filename", "caption")}


def _content(number: int) -> RawDocument:
    task = f"tq_{number % 2_000:032x}"
    base = {"_id": f"gc_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "task_id": task, "index": number}
    return base | {"created_at": BEGUN, "file_id": f"file_{number:032x}"}


def _generation(number: int) -> RawDocument:
    return {"_id": f"cgm_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "task_id": f"tq_{number:032x}"}


def _begin(contents: ContentRepository, made: Held, _: str) -> Any:
    return contents.begin(made.lease, made.task, operation="draw", provider="local", source_data={})


def _store(contents: ContentRepository, made: Held, _: str) -> Any:
    return contents.store(made.lease, made.task, item(), seq=0)


SCENES = Scenes(
    subject=ContentRepository,
    scenarios=(
        Scenario(method="ContentRepository.begin", prepare=hold, call=_begin),
        Scenario(method="ContentRepository.store", prepare=begun, call=_store),
        Scenario(
            method="ContentRepository.get",
            prepare=content_id,
            call=lambda contents, made, owner_id: contents.get(made, owner_id=owner_id),
        ),
        Scenario(
            method="ContentRepository.list_for_task",
            prepare=task_with_content,
            call=lambda contents, made, owner_id: contents.list_for_task(made, owner_id=owner_id),
        ),
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
        Scenario(
            method="ContentRepository.generation",
            prepare=begun_id,
            call=lambda contents, made, owner_id: contents.generation(made, owner_id=owner_id),
        ),
        Scenario(
            method="ContentRepository.read", prepare=content, call=lambda contents, made, _: _read(contents, made)
        ),
    ),
    texts=(
        Text(method="ContentRepository.begin", fields=("operation", "provider", "source_data"), store=_begin_text),
        Text(
            method="ContentRepository.store",
            fields=("item.key", "item.role", "item.media_type", "item.filename", "item.caption"),
            store=_store_text,
        ),
    ),
    plain=frozenset({"owner_id", "content_id", "task_id", "before", "lease.task_id", "lease.token", "lease.worker_id"}),
    crowds={"generated_content": _content, "content_generation_metadata": _generation},
)
