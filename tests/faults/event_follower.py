"""Follows one task as an API host does, woken by the change feed alone, and prints the number of every event."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

from appdb import ChangeFeed, Database, TaskEventType, TaskQueue
from appdb.feed import task_topic

NEVER = timedelta(hours=1)


async def follow(uri: str, name: str, task_id: str) -> None:
    async with Database(uri, name) as database:
        feed, queue, seen = ChangeFeed(database, events=True), TaskQueue(database), -1
        running = asyncio.create_task(feed.run())
        with feed.subscribe(task_topic(task_id)) as hints:
            await hints.wait(NEVER)
            print("following")  # noqa: T201 - its parent reads this
            while True:
                for event in await queue.events(task_id, after=seen):
                    seen = event.seq
                    print(f"seq {seen} {event.type}")  # noqa: T201
                    if event.type is TaskEventType.COMPLETED:
                        running.cancel()
                        return
                await hints.wait(NEVER)


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s: %(error)s", defaults={"error": ""}))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    asyncio.run(follow(*sys.argv[1:]))
