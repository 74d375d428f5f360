"""Clients that build a run's view from the frames of its stream alone, and are cut off all the time."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]
Serve = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]

ROUNDS = 48
TOGETHER = 3
"""Rounds between two looks at what the routes tell."""
VIEWERS = 4
SOON = 20
STEPS = ("plan", "talk", "close")
SHOWN = ("status", "step", "module", "branch_id", "steps_completed", "values", "output", "asked")


def shown(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is compared of a run: as a route or a snapshot tells it."""
    question = run["question"]
    return {name: run[name] for name in SHOWN[:-1]} | {"asked": question and question["interaction_id"]}


View = dict[str, Any]
CHANGES: Mapping[str, Callable[[View, View], View]] = {
    "workflow_completed": lambda _view, event: {
        "status": "completed",
        "asked": None,
        "output": event["data"]["output"],
    },
    "step_started": lambda _view, event: {"status": "processing", "step": event["step"], "module": None},
    "step_completed": lambda view, event: {
        "step": None,
        "module": None,
        "steps_completed": [*view["steps_completed"], event["step"]],
    },
    "module_started": lambda _view, event: {"module": event["module"]},
    "module_completed": lambda view, event: {
        "module": None,
        "values": view["values"] | event["data"].get("_state_mapped", {}),
    },
    "interaction_requested": lambda _view, event: {
        "status": "awaiting_input",
        "asked": event["data"]["interaction_id"],
    },
    "interaction_response": lambda _view, _event: {"status": "processing", "asked": None},
    # Of the module that is open, so nothing that was given is undone.
    "retry_requested": lambda _view, _event: {"status": "processing", "module": None, "asked": None, "output": None},
}
"""What the events of this workflow change, as a client may know it; what jumps lead to is told by snapshots alone."""


@dataclass
class RebuiltView:
    """A client that knows what its stream has told, and nothing else.

    Args:
        hosts: The hosts that it asks in turn.
        run_id: The run.
        chance: After how many frames it drops.
    """

    hosts: tuple[httpx2.AsyncClient, ...]
    run_id: str
    chance: random.Random
    seen: list[int] = field(default_factory=list)
    view: dict[str, Any] = field(default_factory=dict)
    snapshots: int = 0
    drops: int = 0

    async def watch(self, frames: Frames) -> None:
        while True:
            await self._watch_some(frames)
            self.drops += 1

    async def _watch_some(self, frames: Frames) -> None:
        told = {"after": str(self.seen[-1])} if self.seen else {}
        host, left = self.hosts[self.drops % len(self.hosts)], self.chance.randint(1, 7)
        async with host.stream("GET", f"/api/runs/{self.run_id}/stream", params=told) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for frame in frames(answer):
                if "event" not in frame:
                    continue
                self._take(frame["event"], frame.get("id"), json.loads(frame["data"]))
                left -= 1
                if not left:
                    return

    def _take(self, name: str, seq: str | None, data: dict[str, Any]) -> None:
        if name == "snapshot":
            if not self.seen:
                self.seen.append(int(seq or ""))
            assert int(seq or "") == self.seen[-1] == data["last_seq"], (
                "a snapshot is of the newest event that was told"
            )
            self.view = shown(data)
            self.snapshots += 1
        elif seq is not None and name not in ("tasks", "end"):
            assert int(seq) == self.seen[-1] + 1, "an event was missed, or came twice"
            self.seen.append(int(seq))
            self._apply(name, data)

    def _apply(self, name: str, event: dict[str, Any]) -> None:
        change = CHANGES.get(name)
        if change is not None:
            self.view |= change(self.view, event)


@dataclass
class Wanderer:
    """The owner of a run, who goes on and back in it at random."""

    client: httpx2.AsyncClient
    run_id: str
    chance: random.Random
    asked: list[str] = field(default_factory=list)
    jumps: int = 0

    @property
    def path(self) -> str:
        return f"/api/runs/{self.run_id}"

    async def run(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(self.path)).json()
        return found

    async def wander(self) -> None:
        run = await self.run()
        if run["question"] is not None:
            self.asked.append(run["question"]["interaction_id"])
        if run["question"] is not None and self.chance.random() < 0.6:
            path = f"{self.path}/interactions/{self.asked[-1]}/answer"
            said = await self.client.post(path, json={"response": {"value": f"{self.chance.random()}"}})
            assert said.status_code == 200, said.text
            return
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            await self._go_back()

    async def _go_back(self) -> None:
        branches = [one["id"] for one in (await self.client.get(f"{self.path}/branches")).json()["items"]]
        way, body = self.chance.choice(
            [
                ("jump", {"module": self.chance.choice(STEPS)}),
                ("branch", {"interaction_id": self.chance.choice(self.asked)}),
                ("switch", {"branch_id": self.chance.choice(branches)}),
                ("reset", {}),
            ]
        )
        went = await self.client.post(f"{self.path}/{way}", json=body)
        # There may be no such way from here: a module has not begun, or the run is on that branch.
        assert went.status_code in (200, 409), went.text
        self.jumps += went.status_code == 200


async def agreeing(viewer: RebuiltView, watching: asyncio.Task[None], truth: dict[str, Any]) -> None:
    """Wait until *viewer* has seen what there is, and shows the *truth*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while not watching.done() and (viewer.seen[-1:], viewer.view) != ([truth["last_seq"]], shown(truth)):
                await asyncio.sleep(0.01)
    if watching.done():
        await watching
    assert (viewer.seen[-1], viewer.view) == (truth["last_seq"], shown(truth))


@pytest.mark.timeout(300)
async def test_views_from_frames_alone_are_what_routes_tell(
    serve: Serve, make_client: MakeClient, client: httpx2.AsyncClient, start: Start, frames: Frames
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    hosts = (client, await make_client(key=key, base_url=await serve()))
    steps = [
        {
            "id": name,
            "modules": [{"id": name, "type": "user.text_input@1", "in": {"title": name}, "out": {name: "value"}}],
        }
        for name in STEPS
    ]
    run = await start(definition={"name": "wander", "steps": steps, "output": {"plan": "{{ state.plan }}"}})
    viewers = [RebuiltView(hosts[:: 1 - 2 * (n % 2)], run["id"], random.Random(n)) for n in range(VIEWERS)]
    owner = Wanderer(client, run["id"], random.Random(VIEWERS))

    async with asyncio.timeout(240):
        watching = [asyncio.create_task(viewer.watch(frames)) for viewer in viewers]
        for number in range(ROUNDS):
            await owner.wander()
            if number % TOGETHER != TOGETHER - 1:
                continue
            truth = await owner.run()
            await asyncio.gather(*map(agreeing, viewers, watching, itertools.repeat(truth)))
        for watch in watching:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    assert owner.jumps > ROUNDS / 4
    for viewer in viewers:
        assert viewer.seen == list(range(viewer.seen[0], truth["last_seq"] + 1))
        assert viewer.drops > ROUNDS
        assert viewer.snapshots > ROUNDS / 4
