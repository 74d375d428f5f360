"""What happens to one question at once: an answer, and something else that ends it; and who has won."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx2

from appdb import Claimer, Database, Lease, LeaseLostError, TaskQueue, uuid7_str
from appsupport.faults.aim import Aim
from appsupport.faults.run_client import RunClient

A = TypeVar("A")
B = TypeVar("B")
SOON_SECONDS = 60
EXPIRY_SECONDS = 1
OK, CONFLICT = 200, 409
ANSWER, OTHER = "answer", "other"
"""Who has won."""
AIM_SECONDS = 0.004
TIMER_AIM_SECONDS = 0.05
"""A step of the aim, in seconds: a host looks for timers that are due once a second."""
PICKED = [f"gc_{number:032x}" for number in range(1, 3)]


def workflow(*modules: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition of one step."""
    return {"format": 1, "name": "raced", "steps": [{"id": "work", "modules": list(modules)}]}


def asks(name: str, **inputs: Any) -> dict[str, Any]:
    """Return a module that asks for a text."""
    return {"id": name, "type": "user.text_input@1", "in": {"title": name, **inputs}}


TWO_QUESTIONS = workflow(asks("first"), asks("second"))
EXPIRING = workflow(asks("first", expires_seconds=EXPIRY_SECONDS, default="nothing"))


def drawn(actor: str) -> dict[str, Any]:
    """Return a workflow that asks which picture of an actor's to take."""
    provider = {"id": "drawn", "actor": actor, "queue": "raced", "payload": {"prompt": "A tide pool"}}
    return workflow({"id": "draw", "type": "media.generate@1", "in": {"title": "Which?", "providers": [provider]}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Racer:
    """
    Races of one client over two hosts.

    Args:
        client: The client.
        addresses: The two hosts.
        database: Where they keep their runs.
        chance: Takes a host for each call.
        aim: Says who begins, the answer or the other side, and how long before the other.
    """

    client: RunClient
    addresses: tuple[str, str]
    database: Database
    chance: random.Random
    aim: Aim

    async def of_answers(self, number: int) -> str:
        """Two answers, one at each host."""
        del number
        run, asked = await self._asking(TWO_QUESTIONS)
        here, there = self.addresses
        answers = await self._at_once(self._answer(asked, "x", here), self._answer(asked, "y", there))
        won = [value for value, answer in zip("xy", answers, strict=True) if answer.status_code == OK]
        (lost,) = [answer for answer in answers if answer.status_code != OK]
        assert lost.status_code == CONFLICT, lost.text
        facts = lost.json()["facts"]
        assert (facts["code"], facts["accepted"]["response"]) == ("answered", {"value": won[0]})
        assert await self._said(run) == won[0]
        assert await self._ends_of(asked) == {"interaction_response": 1}
        return ANSWER if won == ["x"] else OTHER

    async def with_cancel(self, number: int) -> str:
        """An answer, and a cancel of the run."""
        del number
        run, asked = await self._asking(TWO_QUESTIONS)
        answered, cancelled = await self._at_once(
            self._answer(asked, "x", self._any()),
            self.client.call("POST", f"/api/runs/{run['id']}/cancel", at=self._any()),
        )
        assert cancelled.status_code == OK, cancelled.text
        assert (await self.client.get(f"/api/runs/{run['id']}"))["status"] == "cancelled"
        return await self._told(asked, answered, {"undone", "ended"})

    async def with_timer(self, number: int) -> str:
        """An answer, and the expiry of the question."""
        del number
        run, asked = await self._asking(EXPIRING)
        expires = datetime.fromisoformat(asked["expires_at"])
        await asyncio.sleep((expires - datetime.now(UTC)).total_seconds() - self.aim.lead(TIMER_AIM_SECONDS))
        answered = await self._answer(asked, "x", self._any())
        done = await self._until(run, "completed")
        value = await self._said(done)
        winner = await self._told(asked, answered, {"expired"})
        assert value == ("x" if winner == ANSWER else "nothing")
        return winner

    async def with_jump(self, number: int) -> str:
        """An answer, and a jump by somebody who has not seen it."""
        del number
        run, asked = await self._asking(TWO_QUESTIONS)
        run = (await self._answer(asked, "x", self._any())).json()
        second = run["question"]
        jump = {"module": "first", "last_seq": run["last_seq"]}
        answered, jumped = await self._at_once(
            self._answer(second, "y", self._any()),
            self.client.call("POST", f"/api/runs/{run['id']}/jump", jump, at=self._any()),
        )
        winner = await self._told(second, answered, {"undone"})
        assert jumped.status_code == (CONFLICT if winner == ANSWER else OK), (winner, jumped.text)
        now = await self.client.get(f"/api/runs/{run['id']}")
        assert (now["status"], now["branch_id"] == run["branch_id"]) == (
            ("completed", True) if winner == ANSWER else ("awaiting_input", False)
        )
        return winner

    async def with_end_of_task(self, number: int) -> str:
        """An answer, and the end of a task of the same module that goes on beside the question."""
        actor = f"raced_{number}"
        run = await self.client.post_run({"definition": drawn(actor)}, uuid7_str("key_"))
        await self._finish(await self._claimed(actor), PICKED[0])
        run = await self._until(run, "awaiting_input")
        more = {"module": "draw", "action": "generate", "arguments": {"provider": "drawn"}}
        (
            await self.client.call("POST", f"/api/runs/{run['id']}/actions", more, key=uuid7_str("key_"))
        ).raise_for_status()
        lease = await self._claimed(actor)
        path = {"content_ids": [PICKED[0]]}
        answered, ended = await self._at_once(
            self.client.answer(run["question"], path, at=self._any()), self._finish(lease, PICKED[1])
        )
        assert answered.status_code == OK, answered.text
        await self._until(run, "completed")
        task = await self.database.collection("tasks").find_one({"_id": lease.task_id})
        assert task is not None
        assert task["state"] == ("completed" if ended else "cancelled")
        events = [row async for row in self.database.collection("events").find({"run_id": run["id"]})]
        ends = [row["type"] for row in events if row["data"].get("sub_action_id") == "draw/drawn.2"]
        assert ends.count("sub_action_started") == 1
        assert len(ends) <= 2, ends
        assert [row["type"] for row in events].count("module_completed") == 1
        return OTHER if ended else ANSWER

    async def _asking(self, definition: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        run = await self.client.post_run({"definition": definition}, uuid7_str("key_"))
        return run, run["question"]

    def _any(self) -> str:
        return self.chance.choice(self.addresses)

    async def _answer(self, asked: Mapping[str, Any], value: str, at: str) -> httpx2.Response:
        return await self.client.answer(asked, {"value": value}, at=at)

    async def _at_once(self, one: Awaitable[A], other: Awaitable[B]) -> tuple[A, B]:
        """Do both, one of them a moment later."""
        lead = self.aim.lead(AIM_SECONDS)
        return await asyncio.gather(_later(max(-lead, 0), one), _later(max(lead, 0), other))

    async def _told(self, asked: Mapping[str, Any], answered: httpx2.Response, codes: set[str]) -> str:
        """Return who has won, once the log and both hosts say the same as the reply did."""
        ends = await self._ends_of(asked)
        shown = [
            await self.client.call("GET", f"/api/runs/{asked['run_id']}/interactions/{asked['interaction_id']}", at=at)
            for at in self.addresses
        ]
        assert shown[0].json() == shown[1].json()
        if answered.status_code == OK:
            assert ends == {"interaction_response": 1}, ends
            return ANSWER
        assert answered.status_code == CONFLICT, answered.text
        assert answered.json()["facts"]["code"] in codes, answered.text
        assert "interaction_response" not in ends, ends
        return OTHER

    async def _ends_of(self, asked: Mapping[str, Any]) -> dict[str, int]:
        kinds = ("interaction_response", "interaction_expired")
        match = {"run_id": asked["run_id"], "type": {"$in": kinds}}
        found = [row async for row in self.database.collection("events").find(match)]
        ends = [row["type"] for row in found if row["data"]["interaction_id"] == asked["interaction_id"]]
        return {kind: ends.count(kind) for kind in kinds if kind in ends}

    async def _said(self, run: Mapping[str, Any]) -> Any:
        """Return what the first question gave, as any host has it."""
        state = await self.client.get(f"/api/runs/{run['id']}/state", at=self._any())
        return state["outputs"]["work"]["first"]["value"]

    async def _until(self, run: Mapping[str, Any], status: str) -> dict[str, Any]:
        async with asyncio.timeout(SOON_SECONDS):
            while (now := await self.client.get(f"/api/runs/{run['id']}"))["status"] != status:
                await asyncio.sleep(0.05)
        return dict(now)

    async def _claimed(self, actor: str) -> Lease:
        """Claim the next task of an actor, as its worker would."""
        queue, claimer = TaskQueue(self.database), Claimer(worker_id=actor, queues=("raced",), handlers=(f"{actor}@1",))
        async with asyncio.timeout(SOON_SECONDS):
            while not (tasks := await queue.claim(claimer)):
                await asyncio.sleep(0.05)
        return Lease.of(tasks[0])

    async def _finish(self, lease: Lease, content_id: str) -> bool:
        """Complete a task, and return whether it was not stopped before."""
        try:
            await TaskQueue(self.database).complete(lease, {"content_ids": [content_id]})
        except LeaseLostError:
            return False
        return True


async def _later(seconds: float, doing: Awaitable[A]) -> A:
    await asyncio.sleep(seconds)
    return await doing


Race = Callable[[Racer, int], Awaitable[str]]
RACES: Mapping[str, Race] = {
    "another answer": Racer.of_answers,
    "cancel": Racer.with_cancel,
    "timer": Racer.with_timer,
    "jump": Racer.with_jump,
    "end of task": Racer.with_end_of_task,
}
