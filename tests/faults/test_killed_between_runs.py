"""Runs that wait behind another one: the host that ends it is killed at that moment, and each begins once, in order."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from appdb import uuid7_str
from appsupport.faults.aim import Aim
from appsupport.faults.races import AIM_SECONDS, TWO_QUESTIONS
from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import read_run_facts, settled
from appsupport.faults.run_hosts import API_HOSTS, RunHosts
from appsupport.faults.worker_fleet import rounds, seeded

pytest_plugins = ["appsupport.faults.run_hosts_fixture"]
pytestmark = pytest.mark.timeout(1800)
HERE, THERE = API_HOSTS
SOON_SECONDS = 60
WAITING = 3


async def asks(client: RunClient, hosts: RunHosts, run_id: str) -> dict[str, Any]:
    """Return a run once it asks something."""
    async with asyncio.timeout(SOON_SECONDS):
        while (run := await client.get(f"/api/runs/{run_id}", at=hosts.address_of(HERE)))["question"] is None:
            await asyncio.sleep(0.05)
    return dict(run)


async def end_while_dying(hosts: RunHosts, client: RunClient, run_id: str, aim: Aim) -> None:
    """Let a run complete at a host that is killed while it answers."""
    run = await asks(client, hosts, run_id)
    run = (await client.answer(run["question"], {"value": "x"}, at=hosts.address_of(THERE))).json()
    dying = asyncio.create_task(client.answer(run["question"], {"value": "x"}, at=hosts.address_of(THERE)))
    await asyncio.sleep(max(aim.lead(AIM_SECONDS), 0))
    answered = dying.done()
    await asyncio.to_thread(hosts.kill, THERE)
    aim.heard(first_won=answered)
    hosts.launch(THERE)
    assert (await client.answer(run["question"], {"value": "x"}, at=hosts.address_of(HERE))).is_success
    assert (await dying).is_success
    await asyncio.to_thread(hosts.wait_for, THERE)


@pytest.mark.short
async def test_waiting_runs_begin_once_although_hosts_are_killed_between(run_hosts: RunHosts) -> None:
    chance = seeded()
    aim = Aim(chance)
    run_hosts.start(*API_HOSTS)
    async with httpx2.AsyncClient(timeout=30) as http:
        client = RunClient(http, run_hosts.addresses, chance)
        await client.become_guest()
        for number in range(rounds(short=1)):
            body = {"definition": TWO_QUESTIONS, "project": f"film {number}", "when_open": "enqueue"}
            runs = [await client.post_run(body, uuid7_str("key_")) for _ in range(1 + WAITING)]
            assert [run["status"] for run in runs] == ["awaiting_input", *["waiting"] * WAITING]
            for run in runs:
                await end_while_dying(run_hosts, client, run["id"], aim)
            await settled(run_hosts.database)

            facts = [await read_run_facts(run_hosts.database, run["id"]) for run in runs]
            assert [list(one.problems()) for one in facts] == [[]] * len(runs)
            for one in facts:
                types = [event["type"] for event in one.events]
                assert (types.count("module_started"), types.count("workflow_completed")) == (2, 1)
            begun = [next(event for event in one.events if event["type"] == "step_started") for one in facts]
            assert [event["created_at"] for event in begun] == sorted(event["created_at"] for event in begun)
