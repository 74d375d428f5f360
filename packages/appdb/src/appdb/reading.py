"""Lists of typed documents: one that cannot be read is passed over and told in the log, and the others are returned."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, Self, TypeVar

from appdb._driver import RawDocument
from appdb.errors import UnreadableError
from appdb.models.bounds import at_most

logger = logging.getLogger(__name__)

D = TypeVar("D")


class Found(Protocol):
    """A driver's cursor that was not begun yet."""

    def clone(self) -> Self:
        """Return another one that asks the same."""
        ...

    def limit(self, limit: int, /) -> Self:
        """Return at most so many documents."""
        ...

    def to_list(self, length: None, /) -> Awaitable[Sequence[RawDocument]]:
        """Return all documents."""
        ...


async def page_of(read: Callable[[RawDocument], D], found: Found, limit: int) -> list[D]:
    """Return the first *limit* documents of *found* that can be read; see ``first_readable``."""
    return await first_readable(read, lambda most: found.clone().limit(most).to_list(None), limit)


async def first_readable(
    read: Callable[[RawDocument], D], look: Callable[[int], Awaitable[Sequence[RawDocument]]], limit: int
) -> list[D]:
    """Return the first *limit* documents of a list that can be read; only a list that ends has fewer.

    One look, and another one where documents had to be passed over and the list goes on.

    Args:
        read: Gives the typed form of a document, or raises ``UnreadableError``.
        look: Returns so many documents from the beginning of the list.
        limit: How many are wanted.

    Raises:
        InvalidDataError: *limit* is not positive.
    """
    # A page with fewer documents would look like the last one, and hide the pages behind it.
    most = at_most(limit)
    while True:
        rows = await look(most)
        found, passed = _sorted_out(read, rows)
        if len(found) >= limit or len(rows) < most:
            _tell(passed)
            return found[:limit]
        most = limit + len(passed)


def readable(read: Callable[[RawDocument], D], rows: Iterable[RawDocument]) -> list[D]:
    """Return the typed forms of those of *rows* that can be read; the others are told in the log."""
    found, passed = _sorted_out(read, rows)
    _tell(passed)
    return found


def _sorted_out(read: Callable[[RawDocument], D], rows: Iterable[RawDocument]) -> tuple[list[D], list[UnreadableError]]:
    found: list[D] = []
    passed: list[UnreadableError] = []
    for row in rows:
        try:
            found.append(read(row))
        except UnreadableError as exc:
            passed.append(exc)
    return found, passed


def _tell(passed: Iterable[UnreadableError]) -> None:
    for error in passed:
        logger.error(
            "a stored document cannot be read and was passed over",
            extra={"kind": error.kind, "document_id": error.document_id, "problem": error.problem},
        )
