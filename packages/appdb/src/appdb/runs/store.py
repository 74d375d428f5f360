"""What the parts of runs need of a database, so that ``Database`` itself can have them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from appdb._driver import Collection, Session

T = TypeVar("T")


class Store(Protocol):
    """The part of ``Database`` that runs are kept in."""

    def collection(self, name: str) -> Collection:
        """Return the collection *name*."""
        ...

    async def transaction(self, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run *body* in one transaction."""
        ...


async def joined(store: Store, session: Session | None, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """Run *body* in the caller's transaction, or in one of its own."""
    return await (store.transaction(body) if session is None else body(session))
