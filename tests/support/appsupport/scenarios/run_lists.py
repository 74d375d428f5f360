"""Scenarios of ``RunListRepository``."""

from __future__ import annotations

from datetime import timedelta

from appdb import RunListRepository
from appdb.models import RunFilter, RunStatus
from appsupport.runs.run_events import asked, started, step_started
from appsupport.scenarios.scenario import Scenario, Scenes, Stage
from appsupport.scenarios.staged_runs import append, begin

AT_ONCE = timedelta(0)


async def _some(stage: Stage) -> str:
    """Make runs that ask, runs that work, and one that asks for another, which is returned."""
    for number in range(5):
        waiting = await begin(stage, project=f"asks {number}")
        await append(stage, waiting, step_started("a"), started("a", "m"), asked("a", "m", f"form_{number}"))
        working = await begin(stage, project=f"works {number}")
        await append(stage, working, step_started("a"))
    child = await begin(stage, project="sub", parent_id=working)
    await append(stage, child, step_started("a"), asked("a", "m", "form_of_child"))
    return working


async def _next_page(lists: RunListRepository, _: object, owner_id: str) -> object:
    first = await lists.by_activity(owner_id=owner_id, limit=2)
    return await lists.by_activity(owner_id=owner_id, before=first[-1].place if first else None)


SCENES = Scenes(
    subject=RunListRepository,
    scenarios=(
        Scenario(
            method="RunListRepository.by_activity",
            prepare=_some,
            call=lambda lists, _, owner_id: lists.by_activity(owner_id=owner_id),
            extra_keys=2 * len(RunStatus),
        ),
        Scenario(
            method="RunListRepository.by_activity",
            about="the next page",
            prepare=_some,
            call=_next_page,
            extra_keys=2 * len(RunStatus),
        ),
        Scenario(
            method="RunListRepository.waiting",
            prepare=_some,
            call=lambda lists, _, owner_id: lists.waiting(owner_id=owner_id, newest_first=True),
        ),
        Scenario(
            method="RunListRepository.waiting",
            about="of parts",
            prepare=_some,
            call=lambda lists, parent, owner_id: lists.waiting(owner_id=owner_id, below=parent),
            # What the owner's other parts ask is looked at.
            extra_keys=10,
        ),
        Scenario(
            method="RunListRepository.inbox",
            prepare=_some,
            call=lambda lists, _, owner_id: lists.inbox(owner_id=owner_id),
            # Each question is looked for in each of the runs.
            extra_keys=100,
        ),
        Scenario(
            method="RunListRepository.stuck",
            prepare=_some,
            call=lambda lists, _, owner_id: lists.stuck(owner_id=owner_id, unchanged_for=AT_ONCE),
            # Below each run it looks for others, and for tasks of all of them.
            extra_keys=30,
        ),
        Scenario(
            method="RunListRepository.find_for_operators",
            prepare=_some,
            call=lambda lists, _, owner_id: lists.find_for_operators(RunFilter(owner_id=owner_id)),
            extra_keys=2 * len(RunStatus),
        ),
        Scenario(
            method="RunListRepository.stuck_for_operators",
            prepare=_some,
            call=lambda lists, _, __: lists.stuck_for_operators(unchanged_for=AT_ONCE),
            scans="runs that have not changed for a while although they are at work, which somebody looks after",
        ),
    ),
    plain=frozenset(
        {
            "before",
            "below",
            "owner_id",
            "wanted.owner_id",
            "wanted.project",
            "wanted.run_id",
            "wanted.template_id",
        }
    ),
)
