"""Settings: typed values by type and name, stored in the database, so that every host reads the same ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, overload

from pydantic import JsonValue, TypeAdapter, ValidationError

from appdb._driver import (
    AFTER,
    DuplicateKeyError,
    RawDocument,
    Session,
    retried,
    retry,
    translates_errors,
)
from appdb._queries import config as queries
from appdb._queries.paging import BY_NAME
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError
from appdb.models.bounds import AnyText, accept
from appdb.models.config import Setting, StoredSetting
from appdb.reading import page_of
from appdb.size_limits import KIB, check_size
from appdb.utils import derived_id

T = TypeVar("T")
D = TypeVar("D")

MAX_VALUE_BYTES = 256 * KIB
MAX_SETTING_NAME_CHARACTERS = 100


class ConfigMixin(Connection):
    """The part of ``Database`` that holds settings. They belong to the application, not to a user.

    While no primary answers, methods are retried for the retry timeout, but for ``set_config`` of a revision.
    """

    @overload
    async def get_config(self, /, type_: str, name: str, *, as_type: type[T], session: Session | None = None) -> T: ...

    @overload
    async def get_config(
        self, /, type_: str, name: str, *, as_type: type[T], default: D, session: Session | None = None
    ) -> T | D: ...

    @retried
    async def get_config(
        self, type_: str, name: str, *, as_type: Any, default: Any = ..., session: Session | None = None
    ) -> Any:
        """Return the value of a setting.

        Args:
            type_: What kind of setting, such as ``engine``.
            name: Which one, such as ``limits``.
            as_type: What the value is read as: a pydantic model, or whatever a ``TypeAdapter`` takes.
            default: What to return when it is not there.
            session: A transaction to take part in.

        Raises:
            NotFoundError: It is not there, and no *default* is given.
            InvalidDataError: What is stored is no *as_type*.
        """
        try:
            return (await self.read_config(type_, name, as_type=as_type, session=session)).value
        except NotFoundError:
            if default is ...:
                raise
            return default

    @retried
    async def read_config(
        self, type_: str, name: str, *, as_type: type[T], session: Session | None = None
    ) -> Setting[T]:
        """Return a setting with its revision, for a later ``set_config(..., revision=...)``.

        Raises:
            NotFoundError: It is not there.
            InvalidDataError: What is stored is no *as_type*.
        """
        match = queries.one(_id_of(type_, name))
        found = await self.collection(collections.CONFIG).find_one(match, session=session)
        if found is None:
            raise NotFoundError("setting", f"{type_}/{name}")
        return _typed(found, TypeAdapter(as_type))

    async def set_config(
        self, type_: str, name: str, value: T, *, revision: int | None = None, session: Session | None = None
    ) -> Setting[T]:
        """Write a setting in one atomic command, and return it with its new revision.

        Fields of a pydantic model that this release does not know stay as a newer one has stored them; any other value
        is replaced as a whole.

        Args:
            type_: What kind of setting, such as ``engine``: 1 to 100 printable characters.
            name: Which one, such as ``limits``: 1 to 100 printable characters.
            value: A pydantic model, or anything that becomes JSON; at most 256 KiB as BSON.
            revision: Write only if the setting still has this revision, 0 for one that must not be there yet;
                ``None`` to write in any case.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: The names or the value cannot be stored; nothing was written.
            TooLargeError: The value is over 256 KiB.
            ConflictError: Another caller has written it since; after an unknown outcome, perhaps this call itself.
        """
        dumped = _dumped(type_, name, value)
        # Before the write: a value that its own type does not read back is refused, not stored.
        read_back = _value_of(type_, name, dumped, TypeAdapter(type(value)))
        written = queries.writing(value, dumped)
        write = partial(self._put_config, type_, name, queries.put(type_, name, written), revision, session=session)
        # Of a revision, a second write would lose against the first.
        row = await (retry(write, self.retry_timeout) if revision is None and session is None else write())
        return _setting(StoredSetting.from_document(row), read_back)

    @translates_errors
    async def _put_config(
        self, type_: str, name: str, update: Any, revision: int | None, *, session: Session | None
    ) -> RawDocument:
        setting_id = _id_of(type_, name)
        match = queries.one(setting_id) if revision is None else queries.one_at(setting_id, revision)
        options: dict[str, Any] = {"upsert": not revision, "return_document": AFTER, "session": session}
        try:
            row: RawDocument | None = await self.collection(collections.CONFIG).find_one_and_update(
                match, update, **options
            )
        except DuplicateKeyError as exc:
            raise _changed(type_, name, revision) from exc
        if row is None:
            raise _changed(type_, name, revision)
        return row

    @retried
    async def delete_config(
        self, type_: str, name: str, *, revision: int | None = None, session: Session | None = None
    ) -> bool:
        """Delete a setting, and return whether it was there; safe to repeat.

        Args:
            type_: What kind of setting.
            name: Which one.
            revision: Delete it only if it still has this revision; ``None`` to delete it in any case.
            session: A transaction to take part in.

        Raises:
            ConflictError: Another caller has written it since.
        """
        setting_id = _id_of(type_, name)
        settings = self.collection(collections.CONFIG)
        match = queries.one(setting_id) if revision is None else queries.one_at(setting_id, revision)
        deleted = await settings.delete_one(match, session=session)
        if deleted.deleted_count or revision is None:
            return bool(deleted.deleted_count)
        # Nothing was deleted: there is none, or it has another revision by now.
        if await settings.find_one(queries.one(setting_id), session=session) is not None:
            raise _changed(type_, name, revision)
        return False

    @retried
    async def list_config(
        self, type_: str, *, after: str | None = None, limit: int = 100, session: Session | None = None
    ) -> list[Setting[JsonValue]]:
        """Return the settings of a type by name, with their values as they are stored.

        Args:
            type_: What kind of settings.
            after: The name of the last setting of the page before.
            limit: The most settings to return.
            session: A transaction to take part in.
        """
        settings = self.collection(collections.CONFIG).find(queries.page(type_, after), session=session)
        found = settings.sort(BY_NAME)
        adapter: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
        return await page_of(lambda row: _typed(row, adapter), found, limit)


def _id_of(type_: str, name: str) -> str:
    # Printable text has no NUL, at which the parts are joined, and nothing that UTF-8 cannot hold.
    for field, text, example in (("type", type_, "engine"), ("name", name, "limits")):
        accept(AnyText, text, field)
        if not text or not text.isprintable() or len(text) > MAX_SETTING_NAME_CHARACTERS:
            problem = f"write 1 to {MAX_SETTING_NAME_CHARACTERS} printable characters, such as {example!r}"
            raise InvalidDataError(field, problem)
    return derived_id("cfg_", type_, name)


def _dumped(type_: str, name: str, value: object) -> JsonValue:
    field = f"setting {type_}/{name}"
    try:
        # JSON makes null of NaN and infinities, so they are looked for before they are gone.
        dumped: JsonValue = TypeAdapter(Any).dump_python(value, mode="json", by_alias=True)
        finite = all(map(math.isfinite, _floats(TypeAdapter(Any).dump_python(value))))
    except ValueError as exc:
        raise InvalidDataError(field, f"the value does not become JSON: {exc}") from exc
    if not finite:
        raise InvalidDataError(field, "the value holds NaN or an infinity, of which JSON makes null; write another one")
    check_size(field, {"value": dumped}, MAX_VALUE_BYTES)
    return dumped


def _floats(value: object) -> Iterator[float]:
    """Yield every float in *value*, at any depth."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        yield from _floats(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _floats(part)


def _typed(row: RawDocument, adapter: TypeAdapter[T]) -> Setting[T]:
    stored = StoredSetting.from_document(row)
    return _setting(stored, _value_of(stored.type, stored.name, stored.value, adapter))


def _value_of(type_: str, name: str, value: JsonValue, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError as exc:
        raise InvalidDataError(
            f"setting {type_}/{name}",
            f"its value is not what this code reads: {exc}; write another one, or upgrade this host",
        ) from exc


def _setting(stored: StoredSetting, value: T) -> Setting[T]:
    return Setting(
        type=stored.type,
        name=stored.name,
        value=value,
        revision=stored.revision,
        updated_at=stored.updated_at,
    )


def _changed(type_: str, name: str, revision: int | None) -> ConflictError:
    problem = f"it is not at revision {revision} any more; read it again, and decide anew"
    return ConflictError("setting", f"{type_}/{name}", problem)
