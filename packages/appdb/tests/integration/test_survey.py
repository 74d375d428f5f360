"""What a claimer knows of others before it claims."""

from __future__ import annotations

from appdb import Claimer, Database, NewTask, TaskQueue
from appdb._queries.claims import SAMPLED_LEASES
from appdb.queue.survey import Survey

OTHERS = 3
MINE = SAMPLED_LEASES + 36


def claimer(name: str) -> Claimer:
    return Claimer(worker_id=name, queues=("default",), handlers=("echo@1",))


async def test_a_rival_is_seen_behind_many_newer_leases_of_ones_own(database: Database) -> None:
    queue = TaskQueue(database)
    await queue.enqueue_many([NewTask(owner_id="usr_a", actor="echo", payload={})] * (OTHERS + MINE))
    assert len(await queue.claim(claimer("rival"), limit=OTHERS)) == OTHERS
    assert len(await queue.claim(claimer("me"), limit=MINE)) == MINE

    survey = Survey(database)
    await survey.refresh(claimer("me"))

    assert survey.rivals == {"rival"}
