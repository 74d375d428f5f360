"""A process that waits on a change stream and claims what appears: the floor of a worker that picks a task up."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import time
from typing import Any

from appbench.floors import COMPLETE, FLOOR, claim
from appdb import Database
from appdb.feed import MAX_AWAIT


async def wait_and_claim(claim_key: str) -> None:
    """Claim until killed."""
    async with Database(os.environ["APP_MONGO_URI"], os.environ["APP_MONGO_DATABASE"]) as database:
        tasks = database.collection(FLOOR)
        appeared: dict[str, Any] = {"$match": {"ns.coll": FLOOR, "operationType": "insert"}}
        longest = int(MAX_AWAIT.total_seconds() * 1_000)
        opened: Any = database.raw.watch([appeared, {"$project": {"_id": 1}}], max_await_time_ms=longest)
        # Motor's call returns the stream itself, PyMongo's has to be awaited.
        async with await opened if inspect.isawaitable(opened) else opened as stream:
            print("ready", flush=True)
            while True:
                await stream.next()
                taken = await claim(tasks, claim_key)
                at = time.time()
                if taken is not None:
                    done = COMPLETE | {"$set": COMPLETE["$set"] | {"result": {"at": at}}}
                    await tasks.update_one({"_id": taken["_id"]}, done)


if __name__ == "__main__":
    asyncio.run(wait_and_claim(sys.argv[1]))
