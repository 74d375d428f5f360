"""Each shipped workflow, driven to its end by calls alone over hosts from their own wheels."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from appdb import Database
from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import RunFacts, read_run_facts, settled
from appsupport.faults.shipped_runs import SHIPPED, drive
from appsupport.hosts.installed_hosts import Stack
from appsupport.providers.openai_server import openai_server


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_workflow_ends_by_calls_alone(stack: Stack, mongo_uri: str, database_name: str, name: str) -> None:
    async def run() -> RunFacts:
        async with httpx2.AsyncClient(timeout=60) as http, Database(mongo_uri, database_name) as database:
            client = RunClient(http, [stack.address], random.Random(0))
            await client.become_guest()
            run_id = await drive(client, name)
            await settled(database)
            return await read_run_facts(database, run_id)

    with openai_server() as (models_url, _), ThreadPoolExecutor(1) as thread:
        stack.workers[0].stop()
        stack.environment["APPWORKER_OPENAI_BASE_URL"] = models_url
        stack.start_worker()
        # A thread of its own: the browser of other tests has a loop that runs in this one.
        facts = thread.submit(asyncio.run, run()).result()

    assert list(facts.problems()) == []
    assert {run["status"] for run in facts.runs} == {"completed"}
    assert facts.summary["output"]
