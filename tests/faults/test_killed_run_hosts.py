"""The shipped workflows over real hosts, by calls alone: to their ends, whoever is killed in between."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import httpx2
import pytest

from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import RunFacts, read_run_facts, settled
from appsupport.faults.run_hosts import API_HOSTS, LONGEST_SILENCE, WORKERS, RunHosts
from appsupport.faults.shipped_runs import SHIPPED, drive
from appsupport.faults.worker_fleet import rounds

pytest_plugins = ["appsupport.faults.run_hosts_fixture"]
pytestmark = pytest.mark.timeout(3600)
KILLS = 2
"""How often each host is killed."""
LONGEST_PAUSE = 4.0
ALL = (*API_HOSTS, *WORKERS)


def seeds() -> range:
    """Return the seeds: those of APP_TEST_FAULT_ROUNDS rounds, from APP_TEST_SEED on."""
    first = int(os.environ.get("APP_TEST_SEED") or 1)
    return range(first, first + rounds(short=2))


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_keepalive_connections=0)) as made:
        yield made


async def guest(http: httpx2.AsyncClient, hosts: RunHosts, chance: random.Random) -> RunClient:
    """Return a client of all hosts with a new guest's key."""
    client = RunClient(http, hosts.addresses, chance)
    await client.become_guest()
    return client


async def lives(client: RunClient, hosts: RunHosts, killing: asyncio.Future[Any]) -> list[tuple[str, RunFacts]]:
    """Drive shipped workflows to their ends, all at once and again while hosts are killed; return what they became."""

    async def of(name: str) -> list[str]:
        run_ids = [await drive(client, name)]
        while not killing.done():
            run_ids.append(await drive(client, name))
        return run_ids

    driven = await asyncio.gather(*(of(name) for name in SHIPPED))
    await settled(hosts.database)
    named = [(name, run_id) for name, run_ids in zip(SHIPPED, driven, strict=True) for run_id in run_ids]
    return [(name, await read_run_facts(hosts.database, run_id)) for name, run_id in named]


async def kill_all(hosts: RunHosts, chance: random.Random) -> datetime:
    """Kill every host some times, each started again at once; return when all of them work again."""

    async def keep_killing(name: str, pauses: Sequence[float]) -> None:
        for pause in pauses:
            await asyncio.sleep(pause)
            await (hosts.kill_worker(name) if name in WORKERS else asyncio.to_thread(hosts.kill, name))
            hosts.launch(name)
            await asyncio.to_thread(hosts.wait_for, name)

    pauses = {name: [chance.uniform(0, LONGEST_PAUSE) for _ in range(KILLS)] for name in ALL}
    await asyncio.gather(*(keep_killing(name, pauses[name]) for name in ALL))
    return await hosts.database.server_time()


@pytest.mark.short
async def test_shipped_workflows_end_alike_when_all_hosts_are_killed(
    run_hosts: RunHosts, http: httpx2.AsyncClient
) -> None:
    run_hosts.start(*ALL)
    nobody = asyncio.get_running_loop().create_future()
    nobody.set_result(None)
    calm = dict(await lives(await guest(http, run_hosts, random.Random(0)), run_hosts, nobody))
    assert [problem for found in calm.values() for problem in found.problems()] == []
    assert {run["status"] for found in calm.values() for run in found.runs} == {"completed"}

    for seed in seeds():
        chance = random.Random(seed)
        client = await guest(http, run_hosts, chance)
        killing = asyncio.create_task(kill_all(run_hosts, chance))
        killed = await lives(client, run_hosts, killing)
        ready = await killing
        silence = max(found.longest_silence(ready) for _, found in killed)
        whole = max(found.longest_silence(found.events[0]["created_at"]) for _, found in killed)
        print(  # noqa: T201 - the figures of a long form
            f"seed {seed}: {len(killed)} runs, silent for {whole:.1f} s at most, {silence:.1f} s after the kills"
        )

        assert [problem for _, found in killed for problem in found.problems()] == [], f"APP_TEST_SEED={seed}"
        for name, found in killed:
            assert found.summary == calm[name].summary, f"{name}; APP_TEST_SEED={seed}; {found.broken_attempts()}"
        silent = [found.story() for _, found in killed if found.longest_silence(ready) > LONGEST_SILENCE]
        assert silent == [], f"APP_TEST_SEED={seed}; all hosts worked at {ready}"
