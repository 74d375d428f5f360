"""PyMongo's own async client behind Motor's calls: this module evens out the differences between the two."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, TypeAlias

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from appdb._driver._cancels import cancels_are_heard
from appdb._driver._common import MAJORITY, SNAPSHOT, RawDocument


class Lazy:
    """A cursor that opens at its first use, as Motor's do; PyMongo opens its own by an awaited call."""

    def __init__(self, opening: Awaitable[Any]) -> None:
        self._opening = opening
        self._opened: Any = None

    async def _open(self) -> Any:
        if self._opened is None:
            self._opened = await self._opening
        return self._opened

    async def next(self) -> Any:
        """Return the next row; it ends iterations by ``StopAsyncIteration``."""
        with cancels_are_heard():
            return await (await self._open()).next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self.next()

    async def __aenter__(self) -> Self:
        with cancels_are_heard():
            await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it on the server too."""
        await (await self._open()).close()


class Rows(Lazy):
    """The rows of a cursor, opened at the first use."""

    async def to_list(self, length: int | None = None) -> list[RawDocument]:
        """Return the rows that are left, at most *length* of them."""
        rows: list[RawDocument] = await (await self._open()).to_list(length)
        return rows


class ChangeStream(Lazy):
    """A change stream, starting when the block that it manages begins."""

    @property
    def alive(self) -> bool:
        """Whether changes may still come; a stream whose database was dropped gives no more."""
        return self._opened is None or self._opened.alive

    async def try_next(self) -> RawDocument | None:
        """Return the next change, or ``None`` when there was none for the time that the server waits."""
        with cancels_are_heard():
            change: RawDocument | None = await (await self._open()).try_next()
        return change


class Collection(AsyncCollection[RawDocument]):
    """A collection of PyMongo's, with Motor's calls."""

    def aggregate(self, *args: Any, **kwargs: Any) -> Rows:  # type: ignore[override]
        """Return the rows of a pipeline; it runs when the first is asked for."""
        return Rows(super().aggregate(*args, **kwargs))

    def list_indexes(self, *args: Any, **kwargs: Any) -> Rows:  # type: ignore[override]
        """Return the indexes; they are looked up when the first is asked for."""
        return Rows(super().list_indexes(*args, **kwargs))

    def with_options(self, *args: Any, **kwargs: Any) -> Collection:  # type: ignore[override]
        """Return the collection with other options."""
        return _collection(super().with_options(*args, **kwargs))


def _collection(plain: AsyncCollection[Any]) -> Collection:
    options = (plain.codec_options, plain.read_preference, plain.write_concern, plain.read_concern)
    return Collection(plain.database, plain.name, False, *options)  # noqa: FBT003 - it is made at its first write


class RawDatabase(AsyncDatabase[RawDocument]):
    """A database of PyMongo's, with Motor's calls."""

    def __getitem__(self, name: str) -> Collection:
        return Collection(self, name)

    def aggregate(self, *args: Any, **kwargs: Any) -> Rows:  # type: ignore[override]
        """Return the rows of a pipeline; it runs when the first is asked for."""
        return Rows(super().aggregate(*args, **kwargs))

    def watch(self, *args: Any, **kwargs: Any) -> ChangeStream:  # type: ignore[override]
        """Return a change stream over all collections."""
        return ChangeStream(super().watch(*args, **kwargs))

    def with_options(self, *args: Any, **kwargs: Any) -> RawDatabase:  # type: ignore[override]
        """Return the database with other options."""
        plain = super().with_options(*args, **kwargs)
        options = (plain.codec_options, plain.read_preference, plain.write_concern, plain.read_concern)
        return RawDatabase(plain.client, plain.name, *options)


class Client(AsyncMongoClient[RawDocument]):
    """A client of PyMongo's, with Motor's calls."""

    def __getitem__(self, name: str) -> RawDatabase:
        return RawDatabase(self, name)


Session: TypeAlias = AsyncClientSession


def new_client(uri: str, options: dict[str, Any]) -> Client:
    """Return a client, which connects when it is first used."""
    return Client(uri, **options)


async def close_client(client: Client) -> None:
    """End every connection of *client*; harmless when called twice."""
    await client.close()


async def start_session(client: Client) -> Session:
    """Return a session, which ends with the block that it manages."""
    return client.start_session()


async def start_transaction(session: Session) -> None:
    """Begin a transaction; concerns of collections do not count in it, so they are set here."""
    await session.start_transaction(SNAPSHOT, MAJORITY, ReadPreference.PRIMARY)
