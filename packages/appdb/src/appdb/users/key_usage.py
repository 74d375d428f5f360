"""Stamps of last use, written beside the check of a key and never in its way."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from appdb._driver import Collection, PyMongoError
from appdb._queries import access_keys as queries

logger = logging.getLogger(__name__)


class KeyUsage:
    """Writes when keys were used: one write at a time for each key, and none that anybody waits for."""

    def __init__(self, keys: Collection) -> None:
        self._keys = keys
        self._writing: dict[str, asyncio.Task[None]] = {}

    def note_use(self, key_id: str) -> None:
        """Have the use of a key noted, soon; when the process ends before, that is not noted."""
        if key_id in self._writing:
            return
        task = asyncio.create_task(self._write(key_id))
        self._writing[key_id] = task
        task.add_done_callback(partial(self._done, key_id))

    def _done(self, key_id: str, _: asyncio.Task[None]) -> None:
        self._writing.pop(key_id, None)

    async def _write(self, key_id: str) -> None:
        try:
            await self._keys.update_one(*queries.stamp(key_id))
        except PyMongoError:
            # The next use of the key tries again: who has a valid key is not to suffer for it.
            logger.warning("the last use of a key was not noted", extra={"key_id": key_id}, exc_info=True)
