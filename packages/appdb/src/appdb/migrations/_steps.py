"""The steps of a migration, each safe to repeat: add indexes, drop indexes, fill documents in by batches."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from appdb._queries import migrations as queries
from appdb._queries.paging import BY_ID
from appdb._queries.types import Filter, Pipeline
from appdb._schema.index import Index
from appdb.connection import Connection
from appdb.migrations._indexes import by_collection, create_indexes
from appdb.migrations.options import BackFillPace
from appdb.migrations.records import Effect, StepProgress


class Steps(ABC):
    """The operations that ``up`` and ``down`` may use. Step names are unique in a migration, and shown to users."""

    @abstractmethod
    async def add_indexes(self, name: str, indexes: Iterable[Index]) -> None:
        """Create those of *indexes* that are missing, one build for each collection.

        Raises:
            MigrationError: One is there in another form, or documents break a unique one.
        """

    @abstractmethod
    async def drop_indexes(self, name: str, indexes: Iterable[tuple[str, str]]) -> None:
        """Drop those of *indexes* that are there.

        Args:
            name: The step's name.
            indexes: Collection and name of each.
        """

    @abstractmethod
    async def back_fill(self, name: str, collection: str, match: Filter, change: Pipeline) -> None:
        """Change the documents that fit, in batches in the order of ids.

        What a host of the previous release writes behind the position while it runs is not met: the models must read
        that too.

        Args:
            name: The step's name.
            collection: Whose documents.
            match: Fits the documents to change, and none that is changed.
            change: An update pipeline. It must give the same when it is applied again.
        """


class PlannedSteps(Steps):
    """The steps of a dry run: they change nothing, and collect the effects."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.effects: list[Effect] = []

    async def add_indexes(self, name: str, indexes: Iterable[Index]) -> None:  # noqa: ARG002
        """Note the missing ones."""
        for collection, group in by_collection(indexes):
            found = await self._connection.collection(collection).index_information()
            self._note("create index", collection, [index.name for index in group if index.name not in found])

    async def drop_indexes(self, name: str, indexes: Iterable[tuple[str, str]]) -> None:  # noqa: ARG002
        """Note those that are there."""
        for collection, index in indexes:
            found = await self._connection.collection(collection).index_information()
            self._note("drop index", collection, [index] if index in found else [])

    async def back_fill(self, name: str, collection: str, match: Filter, change: Pipeline) -> None:  # noqa: ARG002
        """Count the documents that fit."""
        count = await self._connection.collection(collection).count_documents(match)
        self.effects += [Effect(action="update documents", target=collection, count=count)] if count else []

    def _note(self, action: str, collection: str, names: Iterable[str]) -> None:
        self.effects += [Effect(action=action, target=f"{collection}.{name}") for name in names]


class RecordedSteps(Steps):
    """The steps of a real run: they change the database, and record their progress.

    Args:
        connection: Where.
        known: How far an earlier run came.
        record: Stores how far a step is; fails when another host has taken over.
        pace: How hard to work.
    """

    def __init__(
        self,
        connection: Connection,
        known: Iterable[StepProgress],
        record: Callable[[StepProgress], Awaitable[None]],
        pace: BackFillPace,
    ) -> None:
        self._connection = connection
        self._known = {step.name: step for step in known}
        self._record = record
        self._pace = pace

    async def add_indexes(self, name: str, indexes: Iterable[Index]) -> None:
        """Create the missing ones; see ``Steps``."""
        await self._each(name, "collections", by_collection(indexes), self._add)

    async def drop_indexes(self, name: str, indexes: Iterable[tuple[str, str]]) -> None:
        """Drop those that are there; see ``Steps``."""
        await self._each(name, "indexes", list(indexes), self._drop)

    async def back_fill(self, name: str, collection: str, match: Filter, change: Pipeline) -> None:
        """Change the documents that fit; see ``Steps``."""
        step = self._known.get(name, StepProgress(name=name, unit="documents"))
        if step.finished:
            return
        documents = self._connection.collection(collection)
        # One scan, so that the total is right also for a run that goes on where another was killed.
        left = await documents.count_documents(queries.after(match, step.position))
        step = replace(step, total=step.done + left)
        await self._record(step)
        while ids := await self._next_ids(collection, queries.after(match, step.position)):
            await documents.update_many(queries.among(match, ids), change)
            step = replace(step, done=step.done + len(ids), position=ids[-1])
            step = replace(step, total=max(step.done, step.total))
            await self._record(step)
            # The position is recorded first: a run that is killed in the pause repeats no batch.
            await asyncio.sleep(self._pace.pause.total_seconds())
        await self._record(replace(step, total=step.done, finished=True))

    async def _next_ids(self, collection: str, match: Filter) -> list[Any]:
        # Any other index would make the server sort all that is left for each batch.
        found = self._connection.collection(collection).find(match, {"_id": 1}).hint([("_id", 1)])
        return [row["_id"] async for row in found.sort(BY_ID).limit(self._pace.batch)]

    async def _each(
        self, name: str, unit: str, things: Sequence[Any], work: Callable[[Any, Any], Awaitable[None]]
    ) -> None:
        # What is there already costs next to nothing, so all are gone through again after a kill.
        if name in self._known and self._known[name].finished:
            return
        step = StepProgress(name=name, unit=unit, total=len(things))
        for number, (first, second) in enumerate(things):
            await self._record(replace(step, done=number))
            await work(first, second)
        await self._record(replace(step, done=len(things), finished=True))

    async def _add(self, collection: str, indexes: Sequence[Index]) -> None:
        await create_indexes(self._connection, collection, indexes)

    async def _drop(self, collection: str, index: str) -> None:
        if index in await self._connection.collection(collection).index_information():
            await self._connection.collection(collection).drop_index(index)
