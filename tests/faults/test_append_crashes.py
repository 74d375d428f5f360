"""An API host that dies right behind each append of a shipped workflow; started again, the run ends alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from appsupport.faults.append_crashes import VARIABLE
from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import RunFacts, read_run_facts, settled
from appsupport.faults.run_hosts import LONGEST_SILENCE, RunHosts
from appsupport.faults.shipped_runs import drive
from appsupport.faults.worker_fleet import whole
from appsupport.mongo.replica_set import fresh_database
from appsupport.providers.openai_server import openai_server

pytestmark = pytest.mark.timeout(3600)
MOST_APPENDS = 60
NEVER = 10_000
AT_ONCE = 3
SHORT = pytest.param("written_text", marks=pytest.mark.short)
SHORT_STEP = 5
"""The short form crashes behind every so manyth append; ``APP_TEST_FAULT_ROUNDS``, with any number, behind all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What became of a run whose host was to die; whether it did, and how long the run was silent after its return."""

    facts: RunFacts
    died: bool
    silence: float


async def live(uri: str, logs: Path, models_url: str, name: str, number: int) -> Life:
    """Drive a shipped workflow on one API host that dies behind append *number*, and is then started again."""
    async with fresh_database(uri) as database, httpx2.AsyncClient(timeout=30) as http:
        hosts = RunHosts(uri=uri, database=database, logs=logs / f"{name}-{number}", models_url=models_url)
        try:
            hosts.launch("worker-a")
            api = hosts.launch("api-a", **{VARIABLE: str(number)})
            client = RunClient(http, hosts.addresses, random.Random(number))
            await client.become_guest()
            driving = asyncio.create_task(drive(client, name))
            while not driving.done() and api.process.poll() is None:
                await asyncio.sleep(0.05)
            if died := not driving.done():
                hosts.launch("api-a")
                await asyncio.to_thread(hosts.wait_for, "api-a")
            returned = await database.server_time()
            run_id = await driving
            await settled(database)
            facts = await read_run_facts(database, run_id)
            return Life(facts=facts, died=died, silence=facts.longest_silence(returned))
        finally:
            hosts.end()
            await database.raw.client.drop_database(database.name)


@pytest.fixture(scope="module")
def models_url() -> Iterator[str]:
    with openai_server() as (url, _):
        yield url


@pytest.mark.parametrize("name", [SHORT, "narrated_video", "picture_variations"])
async def test_host_may_die_behind_every_append(mongo_uri: str, logs: Path, models_url: str, name: str) -> None:
    step = 1 if whole() else SHORT_STEP
    calm = await live(mongo_uri, logs, models_url, name, NEVER)
    deaths: list[Life] = []
    for first in range(1, MOST_APPENDS, step * AT_ONCE):
        numbers = range(first, first + step * AT_ONCE, step)
        lives = await asyncio.gather(*(live(mongo_uri, logs, models_url, name, number) for number in numbers))
        deaths += [life for life in lives if life.died]
        for number, life in zip(numbers, lives, strict=True):
            assert list(life.facts.problems()) == [], f"behind append {number}"
            assert life.facts.summary == calm.facts.summary, f"behind append {number}"
            assert life.silence <= LONGEST_SILENCE, f"behind append {number}"
        if not lives[-1].died:
            break
    silence = max(life.silence for life in deaths)
    print(f"{name}: died behind {len(deaths)} appends, silent for {silence:.1f} s at most")  # noqa: T201

    assert not lives[-1].died, f"the run's life had no end after {MOST_APPENDS} appends"
    assert len(deaths) >= 2
