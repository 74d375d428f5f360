"""Scenarios of ``RegistryRepository``: its collections hold what lives now, so there is no crowd in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb import Limit, RegistryRepository
from appdb.models import AnnouncedActor, AnnouncedWorker
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json

ALIVE = "workers and actors are deleted some time after they were seen last"


def schema(text: str) -> dict[str, Any]:
    """Return a schema that has *text* wherever it may, and that readers take for a reference as a whole."""
    part = {"$ref": "#/$defs/a", "$defs": {"a": {"default": hostile_json(text)}}}
    return hostile_json(text) | part | {"properties": {"a": part | {"$id": text}}}


def worker(name: str, text: str = "here") -> AnnouncedWorker:
    """Return a worker that has *text* wherever it may."""
    return AnnouncedWorker(id=name, host=text, pid=1, queues=[text], actors=[text], slots=1, providers=[text])


def actor(name: str, text: str = "here") -> AnnouncedActor:
    """Return an actor that has *text* wherever it may."""
    return AnnouncedActor(
        name=name,
        version=1,
        queue=text,
        description=text,
        payload_schema=schema(text),
        max_attempts=1,
        timeout_seconds=1,
        limits=(Limit(key=text, rate=1),),
    )


async def announced(stage: Stage) -> str:
    """Announce a worker and an actor of the same name, and return it."""
    await RegistryRepository(stage.database).announce(worker(stage.owner), [actor(stage.owner)])
    return stage.owner


async def _announce(stage: Stage, text: str) -> Mapping[str, object]:
    registry, name = RegistryRepository(stage.database), f"{stage.owner}{text}"
    await registry.announce(worker(name, text), [actor(name, text)])
    read = await registry.actor(name)
    (lives,) = [each for each in await registry.workers() if each.id == name]
    return {
        "worker.id": lives.id.removeprefix(stage.owner),
        "worker.host": lives.host,
        "worker.queues": lives.queues[0],
        "worker.actors": lives.actors[0],
        "worker.providers": lives.providers[0],
        "actors.name": read.id.removeprefix(stage.owner),
        "actors.queue": read.queue,
        "actors.description": read.description,
        "actors.payload_schema": text if read.payload_schema == schema(text) else read.payload_schema,
        "actors.limits.key": read.limits[0].key,
    }


def _say(registry: RegistryRepository, _: object, owner_id: str) -> Any:
    return registry.announce(worker(owner_id), [actor(owner_id)])


SCENES = Scenes(
    subject=RegistryRepository,
    scenarios=(
        Scenario(method="RegistryRepository.announce", call=_say),
        Scenario(
            method="RegistryRepository.withdraw",
            prepare=announced,
            call=lambda registry, made, _: registry.withdraw(made),
        ),
        Scenario(
            method="RegistryRepository.actor", prepare=announced, call=lambda registry, made, _: registry.actor(made)
        ),
        Scenario(
            method="RegistryRepository.actors",
            prepare=announced,
            call=lambda registry, _, __: registry.actors(),
            scans=ALIVE,
        ),
        Scenario(
            method="RegistryRepository.workers",
            prepare=announced,
            call=lambda registry, _, __: registry.workers(),
            scans=ALIVE,
        ),
    ),
    texts=(
        Text(
            method="RegistryRepository.announce",
            fields=(
                "worker.id",
                "worker.host",
                "worker.queues",
                "worker.actors",
                "worker.providers",
                "actors.name",
                "actors.queue",
                "actors.description",
                "actors.payload_schema",
                "actors.limits.key",
            ),
            store=_announce,
        ),
    ),
    plain=frozenset({"worker_id", "actor.name"}),
)
