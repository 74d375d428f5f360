"""Reads with a concern of their own: change streams, and local reads of the primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from appdb._driver._chosen import ChangeStream, Collection, RawDatabase
from appdb._driver._common import LOCAL
from appdb.utils import milliseconds


def watch(database: RawDatabase, pipeline: Sequence[Mapping[str, Any]], *, max_await: timedelta) -> ChangeStream:
    """Return a change stream over all of *database*'s collections, starting when the block that it manages begins."""
    return database.watch(pipeline, max_await_time_ms=milliseconds(max_await))


def has_ended(stream: ChangeStream) -> bool:
    """Return whether *stream* gives nothing more, since its database was dropped or replaced."""
    return not stream.alive  # type: ignore[truthy-function]  # the driver's stub forgets that it is a property


def with_local_reads(collection: Collection) -> Collection:
    """Return *collection* as the primary has it now, also what no majority has confirmed yet."""
    return collection.with_options(read_concern=LOCAL)
