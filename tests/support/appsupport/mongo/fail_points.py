"""Commands that a server lets fail or wait, for one application and the length of a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from appdb import Database


class FailPoint:
    """A fail point that is on.

    Args:
        database: On whose server.
        count: How often it was met before.
    """

    def __init__(self, database: Database, count: int) -> None:
        self._admin = database.raw.client.admin
        self._count = count

    async def met(self, times: int = 1) -> None:
        """Return once so many commands have met it since it is on."""
        # Longer than an operation may take by itself would be refused by the client.
        await self._admin.command({"waitForFailPoint": "failCommand", "timesEntered": self._count + times})


@asynccontextmanager
async def fail_point(database: Database, app_name: str, commands: list[str], **effect: Any) -> AsyncIterator[FailPoint]:
    """Let *commands* of the application *app_name* have *effect*, such as ``errorCode=91``, until the block ends."""
    admin = database.raw.client.admin
    data = {"failCommands": commands, "appName": app_name, **effect}
    answer = await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield FailPoint(database, int(answer["count"]))
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
