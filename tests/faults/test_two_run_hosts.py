"""Two API hosts: a run is started on one, answered on the other, and watched on both; the one that advances dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from appdb import uuid7_str
from appdemo.following import Event, read_stream
from appsupport.faults.aim import Aim
from appsupport.faults.races import AIM_SECONDS, TWO_QUESTIONS
from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import read_run_facts, settled
from appsupport.faults.run_hosts import API_HOSTS, RunHosts
from appsupport.faults.worker_fleet import rounds, seeded

pytest_plugins = ["appsupport.faults.run_hosts_fixture"]
pytestmark = pytest.mark.timeout(1800)
HERE, THERE = API_HOSTS
FOLLOW_SECONDS = 120
NO_LOG = {"snapshot", "tasks", "end"}
"""Events of a run's stream that are none of its log."""


def followed(address: str, headers: Mapping[str, str], run_id: str) -> list[Event]:
    """Return what a run's stream at one host tells behind the first event, coming back as often as that host dies."""
    seen: list[Event] = []
    position = "0"
    deadline = time.monotonic() + FOLLOW_SECONDS
    with httpx2.Client(base_url=address, headers=dict(headers), timeout=30) as client:
        while not seen or seen[-1].type != "end":
            assert time.monotonic() < deadline, f"the stream of run {run_id} does not end: {seen[-3:]}"
            try:
                for event in read_stream(client, f"/api/runs/{run_id}", position):
                    seen.append(event)
                    position = event.id or position
            except (httpx2.TransportError, httpx2.HTTPStatusError):
                time.sleep(0.1)
    return seen


def numbers(seen: list[Event]) -> list[int]:
    return [int(event.id) for event in seen if event.id and event.type not in NO_LOG]


async def answer_while_dying(hosts: RunHosts, client: RunClient, question: Mapping[str, Any], aim: Aim) -> Any:
    """Answer at a host that is killed a moment later, and again at the other one; return what that one says."""
    path = f"/api/runs/{question['run_id']}/interactions/{question['interaction_id']}/answer"
    first = asyncio.create_task(client.call("POST", path, {"response": {"value": "x"}}, at=hosts.address_of(THERE)))
    await asyncio.sleep(max(aim.lead(AIM_SECONDS), 0))
    answered = first.done()
    await asyncio.to_thread(hosts.kill, THERE)
    aim.heard(first_won=answered)
    hosts.launch(THERE)
    again = await client.answer(question, {"value": "x"}, at=hosts.address_of(HERE))
    assert again.is_success, again.text
    repeated = await first
    assert repeated.is_success, repeated.text
    return again.json()


@pytest.mark.short
async def test_viewers_of_both_hosts_see_run_that_outlives_one(run_hosts: RunHosts) -> None:
    chance = seeded()
    aim = Aim(chance)
    run_hosts.start(*API_HOSTS)
    async with httpx2.AsyncClient(timeout=30) as http:
        client = RunClient(http, run_hosts.addresses, chance)
        await client.become_guest()
        for _ in range(rounds(short=1)):
            run = await client.post_run({"definition": TWO_QUESTIONS}, uuid7_str("key_"))
            watching = [
                asyncio.create_task(asyncio.to_thread(followed, address, http.headers, run["id"]))
                for address in run_hosts.addresses
            ]
            while run["question"] is not None:
                run = await answer_while_dying(run_hosts, client, run["question"], aim)
                await asyncio.to_thread(run_hosts.wait_for, THERE)
            views = [numbers(seen) for seen in await asyncio.gather(*watching)]
            await settled(run_hosts.database)
            facts = await read_run_facts(run_hosts.database, run["id"])

            assert run["status"] == "completed"
            assert list(facts.problems()) == []
            assert [event["type"] for event in facts.events].count("interaction_response") == 2
            assert views == [[event["seq"] for event in facts.events[1:]]] * 2
