"""Arguments for any method, made from its signature, so that a method that is new cannot be forgotten."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

import appdb
from appdb import Database, Limit
from appdb._driver import Session
from appdb.base import BaseRepository

CONTAINERS = (list, tuple, set, frozenset)
ABSTRACT = (collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable, collections.abc.Set)
MAPPINGS = (dict, collections.abc.Mapping)
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def public_methods() -> list[tuple[type, str]]:
    """Return every public async method, generators too, of ``Database`` and of every repository that appdb offers."""
    offered = [getattr(appdb, name) for name in appdb.__all__]
    kinds = [kind for kind in offered if inspect.isclass(kind) and issubclass(kind, BaseRepository | Database)]
    return [(kind, name) for kind in kinds for name in sorted(dir(kind)) if _is_called(kind, name)]


def _is_called(kind: type, name: str) -> bool:
    if name.startswith("_"):
        return False
    found = inspect.unwrap(getattr(kind, name))
    if not (inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)):
        return False
    session = inspect.signature(found).parameters.get("session")
    # One that must be given makes it a part of its caller's transaction, which translates.
    return session is None or session.default is not inspect.Parameter.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Values that arguments are made of.

    Args:
        call: What a method gets that calls back.
        text: For every string.
        number: For every integer.
        json: For whatever may be any JSON.
    """

    call: Callable[..., Coroutine[Any, Any, Any]]
    text: str = "x"
    number: int = 1
    json: Any = "x"

    def arguments(self, method: Callable[..., Any]) -> dict[str, Any]:
        """Return an argument for each parameter of the bound *method* but ``session``."""
        hints = typing.get_type_hints(inspect.unwrap(method))
        names = [name for name in inspect.signature(method).parameters if name != "session"]
        return {name: self.value(hints[name]) for name in names}

    def value(self, hint: Any) -> Any:
        """Return a value of the type *hint*.

        Raises:
            TypeError: It cannot be made; teach this class to.
        """
        if hint in self._plain:
            return self._plain[hint]
        origin = typing.get_origin(hint)
        if origin is None:
            return self._object(hint)
        return self._generic(origin, typing.get_args(hint))

    @property
    def _plain(self) -> dict[Any, Any]:
        return {
            str: self.text,
            int: self.number,
            float: 0.5,
            Decimal: Decimal(1),
            bool: True,
            bytes: b"x",
            timedelta: timedelta(seconds=1),
            datetime: MOMENT,
            Path: Path(__file__),
            JsonValue: self.json,
            Any: self.json,
            object: self.json,
            Limit: Limit(key=self.text, concurrency=1),
            type(None): None,
            Session | None: None,
        }

    def _generic(self, origin: Any, arguments: tuple[Any, ...]) -> Any:
        if origin in {typing.Union, types.UnionType}:
            return self.value(next(one for one in arguments if one is not type(None)))
        if origin in {typing.Literal, typing.Annotated}:
            return arguments[0] if origin is typing.Literal else self.value(arguments[0])
        if origin in MAPPINGS:
            return {self.value(arguments[0]): self.value(arguments[1])}
        if origin in (*CONTAINERS, *ABSTRACT):
            # A tuple has a type for each of its values, unless it is of any length.
            kinds = arguments if origin is tuple and arguments[-1] is not ... else arguments[:1]
            return (origin if origin in CONTAINERS else list)([self.value(kind) for kind in kinds])
        if origin in (type, collections.abc.Callable):
            return dict if origin is type else self.call
        if origin in {collections.abc.AsyncIterator, collections.abc.AsyncIterable}:
            return self._stream(arguments[0])
        raise TypeError(f"teach Values to make {origin}[{arguments}]")

    async def _stream(self, hint: Any) -> AsyncIterator[Any]:
        yield self.value(hint)

    def _object(self, kind: Any) -> Any:
        if isinstance(kind, typing.TypeVar):
            return self.json
        if issubclass(kind, Enum):
            return next(iter(kind))
        if issubclass(kind, BaseModel):
            return self._model(kind)
        if isinstance(kind, type) and is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            needed = [one for one in fields(kind) if one.init and one.default is MISSING]
            wanted = [one.name for one in needed if one.default_factory is MISSING]
            return kind(**{name: self.value(hints[name]) for name in wanted})
        raise TypeError(f"teach Values to make a {kind}")

    def _model(self, kind: type[BaseModel]) -> BaseModel:
        wanted = {field.alias or name: field for name, field in kind.model_fields.items() if field.is_required()}
        try:
            return kind(**{name: self.value(field.annotation) for name, field in wanted.items()})
        except ValidationError:
            # Such a value never gets as far as appdb.
            return Values(call=self.call)._model(kind)
