"""Loading: the stored data that modules ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from appdb import DbEventType, NotFoundError
from appdb.models import Content, FileCategory, FileFormat, Run, WorkflowFile
from appserver.engine.core.decision import Needed, PastAnswer, PastOutputs, PastTries
from appserver.engine.core.scope import without_marks
from appserver.engine.runner.stores import EngineStores
from appserver.modules.contract import LoadContent, LoadFile, LoadKeywords, LoadOptions, LoadQuery
from appserver.modules.shipped_queries import host_queries

HALF_LIFE = timedelta(days=30)
"""The time in which the weight of a keyword halves."""
SETTLES = frozenset({DbEventType.INTERACTION_RESPONSE, DbEventType.INTERACTION_EXPIRED})
FILE_PREFIX = "wff_"
"""Leads the ids of run files; those of contents have another."""
MOST_TRIES = 50
"""Earlier tries of a module that it is told of."""


class Loader:
    """
    Loads what decisions need.

    Args:
        stores: Where it is.
    """

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores

    async def load(self, needs: Sequence[Needed], run: Run) -> dict[str, JsonValue]:
        """Return by key what *needs* ask for; ``None`` for what is not there."""
        return {needed.key: await self._load_one(needed, run) for needed in needs}

    async def _load_one(self, needed: Needed, run: Run) -> JsonValue:
        match needed.request:
            case PastTries() | PastOutputs() | PastAnswer() as past:
                return await self._past(needed, past, run)
            case LoadFile() as file:
                return await self._file(run, file)
            case LoadContent(content_id=content_id):
                return await self._content(run, content_id)
            case LoadOptions(limit=limit):
                return await self._options(needed, run, limit)
            case LoadKeywords() as keywords:
                return await self._keywords(run, keywords)
            case LoadQuery() as query:
                return await host_queries().rows(query, self._stores.database, run.owner_id)

    async def _past(self, needed: Needed, past: PastTries | PastOutputs | PastAnswer, run: Run) -> JsonValue:
        match past:
            case PastTries():
                return await self._tries(needed, run)
            case PastOutputs(seq=seq):
                return await self._outputs(run, seq)
            case PastAnswer(interaction_id=interaction_id):
                return await self._answer(run, interaction_id)

    async def _tries(self, needed: Needed, run: Run) -> JsonValue:
        tries = await self._stores.states.retry_context(
            run.id, needed.module, owner_id=run.owner_id, step=needed.step, limit=MOST_TRIES
        )
        return [{"outputs": _outputs(one.outputs), "feedback": _feedback(one.feedback)} for one in tries]

    async def _outputs(self, run: Run, seq: int) -> JsonValue:
        found = await self._stores.events.log(run.id, owner_id=run.owner_id, after=seq - 1, limit=1)
        return _outputs(found[0].data) if found and found[0].seq == seq else None

    async def _answer(self, run: Run, interaction_id: str) -> JsonValue:
        found = await self._stores.events.of_interaction(run.id, interaction_id, owner_id=run.owner_id)
        settled = [event for event in found if event.type in SETTLES]
        if not settled:
            return None
        last = settled[-1]
        return {**last.data, "type": last.type.value, "at": last.created_at.isoformat()}

    async def _file(self, run: Run, wanted: LoadFile) -> JsonValue:
        category = FileCategory(wanted.category)
        try:
            file = await self._stores.files.newest(run.id, wanted.name, owner_id=run.owner_id, category=category)
        except NotFoundError:
            return None
        return file.content

    async def _content(self, run: Run, content_id: str) -> JsonValue:
        try:
            if content_id.startswith(FILE_PREFIX):
                return _told_file(await self._stores.files.get(content_id, owner_id=run.owner_id))
            return _told_content(await self._stores.contents.get(content_id, owner_id=run.owner_id))
        except NotFoundError:
            return None

    async def _options(self, needed: Needed, run: Run, limit: int) -> JsonValue:
        used = await self._stores.database.list_option_usage(
            owner_id=run.owner_id,
            template_id=history_of(run),
            step_id=needed.step,
            module=needed.module,
            limit=limit,
        )
        return [one.option for one in used]

    async def _keywords(self, run: Run, wanted: LoadKeywords) -> JsonValue:
        found = await self._stores.database.list_keywords(
            owner_id=run.owner_id,
            template_id=history_of(run),
            half_life=HALF_LIFE,
            category=wanted.category or "",
            limit=wanted.limit,
        )
        return [{"keyword": one.keyword, "weight": one.weight} for one in found]


def _told_content(content: Content) -> JsonValue:
    return {
        "content_id": content.id,
        "kind": content.kind.value,
        "media_type": content.media_type,
        "bytes": content.size,
        "filename": content.filename,
    }


def _told_file(file: WorkflowFile) -> JsonValue:
    is_json = file.format is FileFormat.JSON
    return {
        "content_id": file.id,
        "kind": "file",
        "media_type": "application/json" if is_json else "text/plain",
        "bytes": file.size,
        "filename": file.name,
    }


def history_of(run: Run) -> str:
    """Return whose history of options and keywords a run reads and writes: its template's, or that of its project."""
    return run.template_id or f"project:{run.project}"


def _outputs(data: Mapping[str, Any] | None) -> JsonValue:
    # Names that begin with an underscore are the log's own.
    return None if data is None else without_marks({name: data[name] for name in data if not name.startswith("_")})


def _feedback(data: Mapping[str, Any] | None) -> JsonValue:
    # Of the event of a retry: what it wants better, and not where it leads.
    return None if data is None else dict(data.get("feedback") or {})
