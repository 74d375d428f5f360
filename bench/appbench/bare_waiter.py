"""A process that waits on a change stream and claims what appears: the floor of a worker that picks a task up."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from appbench.floors import COMPLETE, FLOOR, Floors
from appdb import Database
from appdb._driver import watch
from appdb.feed import MAX_AWAIT


async def wait_and_claim() -> None:
    """Claim until killed."""
    async with Database(os.environ["APP_MONGO_URI"], os.environ["APP_MONGO_DATABASE"]) as database:
        floors = Floors(database)
        appeared: dict[str, Any] = {"$match": {"ns.coll": FLOOR, "operationType": "insert"}}
        async with watch(database.raw, [appeared, {"$project": {"_id": 1}}], max_await=MAX_AWAIT) as stream:
            print("ready", flush=True)
            while True:
                await stream.next()
                taken = await floors.claim()
                at = time.time()
                if taken is not None:
                    done = COMPLETE | {"$set": COMPLETE["$set"] | {"result": {"at": at}}}
                    await floors.tasks.update_one({"_id": taken["_id"]}, done)


if __name__ == "__main__":
    asyncio.run(wait_and_claim())
