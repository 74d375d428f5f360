"""Key usage: stamps of last use, written beside the check of a key."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from appdb._driver import Collection, PyMongoError
from appdb._queries import access_keys as queries

logger = logging.getLogger(__name__)


class KeyUsage:
    """Writes the time of keys' last use: one write at a time for each key, and nobody waits for it."""

    def __init__(self, keys: Collection) -> None:
        self._keys = keys
        self._writing: dict[str, asyncio.Task[None]] = {}

    def note_use(self, key_id: str) -> None:
        """Note the use of a key, soon; a process that ends before does not note it."""
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
            # Not raised: a valid key is accepted although its use could not be noted. The next use tries again.
            logger.warning("the last use of a key was not noted", extra={"key_id": key_id}, exc_info=True)
