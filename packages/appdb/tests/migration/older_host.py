"""A host of contract 2 in a process of its own: checks the contract as that release does, then enqueues and works.

`older_host.py URI DATABASE OWNER`: prints ``ready``, works until its input ends, and prints what it has done.
"""

from __future__ import annotations

import asyncio
import json
import sys

from appdb import Claimer, Database, Lease, NewTask, TaskQueue, TaskState

CONTRACT = 2
PAUSE_SECONDS = 0.01


async def work(uri: str, name: str, owner_id: str) -> int:
    """Enqueue a task, claim it, complete it and read it back, until the input ends; return how often."""
    database = Database(uri, name)
    await database.check_server()
    stated = await database.collection("config").find_one({"_id": "contract"})
    if stated is None or stated["version"] != CONTRACT:
        raise SystemExit(f"contract {CONTRACT} is needed, and the database says {stated}")
    queue, rounds = TaskQueue(database), 0
    claimer = Claimer(worker_id=f"older-{owner_id}", queues=(owner_id,), handlers=("echo@1",))
    say("ready")
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        task = await queue.enqueue(NewTask(owner_id=owner_id, actor="echo", payload={"n": rounds}, queue=owner_id))
        while not (claimed := await queue.claim(claimer)):
            await asyncio.sleep(PAUSE_SECONDS)
        await queue.complete(Lease.of(claimed[0]), {"n": rounds})
        done = await queue.get(task.id, owner_id=owner_id)
        if done.state is not TaskState.COMPLETED or done.result != {"n": rounds}:
            raise SystemExit(f"task {task.id} is {done.state} with {done.result}")
        rounds += 1
    return rounds


def say(line: str) -> None:
    """Print *line* at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say(json.dumps({"rounds": asyncio.run(work(*sys.argv[1:]))}))
