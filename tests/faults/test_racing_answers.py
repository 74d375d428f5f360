"""Two API hosts: an answer at one of them, and at the same time what else may end its question; one wins, all hear."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from appsupport.faults.aim import Aim
from appsupport.faults.races import ANSWER, OTHER, RACES, Racer
from appsupport.faults.run_client import RunClient
from appsupport.faults.run_facts import settled
from appsupport.faults.run_hosts import API_HOSTS, RunHosts
from appsupport.faults.worker_fleet import seeded, whole

pytest_plugins = ["appsupport.faults.run_hosts_fixture"]
pytestmark = pytest.mark.timeout(3600)
SHORT_ROUNDS = 25
WHOLE_ROUNDS = 500
"""With ``APP_TEST_FAULT_ROUNDS``, whatever number it says: a race needs many."""
FAIR = 5
"""Each side wins one round in so many, at the least."""
AT_ONCE = 8


@pytest.fixture
async def racer(run_hosts: RunHosts) -> AsyncIterator[Racer]:
    run_hosts.start(*API_HOSTS)
    chance = seeded()
    async with httpx2.AsyncClient(timeout=60) as http:
        client = RunClient(http, run_hosts.addresses, chance)
        await client.become_guest()
        here, there = run_hosts.addresses
        database = run_hosts.database
        yield Racer(client=client, addresses=(here, there), database=database, chance=chance, aim=Aim(chance))


@pytest.mark.short
@pytest.mark.parametrize("name", RACES)
async def test_answer_against_other_end_has_one_winner(racer: Racer, name: str) -> None:
    gate, winners = asyncio.Semaphore(AT_ONCE), Counter[str]()

    async def race(number: int) -> None:
        async with gate:
            winner = await RACES[name](racer, number)
            winners[winner] += 1
            racer.aim.heard(first_won=winner == ANSWER)

    rounds = WHOLE_ROUNDS if whole() else SHORT_ROUNDS
    async with asyncio.TaskGroup() as group:
        for number in range(rounds):
            group.create_task(race(number))
    await settled(racer.database)
    print(f"answer against {name}: {dict(winners)}")  # noqa: T201 - the figures of a long form

    assert winners.total() == rounds
    assert not whole() or min(winners[ANSWER], winners[OTHER]) >= rounds / FAIR, (
        "one side has nearly always won: no race was met"
    )
