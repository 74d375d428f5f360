"""Generations: the calls of providers, their seeds, and the contents that they made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, JsonValue

from appserver.modules.contract import Seen, TaskCall, Work
from appserver.modules.work import TaskInputs, TaskName, task_call

SEEDS = 2**31
MAX_CONTENTS = 200


class MediaProvider(TaskInputs):
    """An actor that makes media, and what it is given."""

    id: str = Field(pattern="^[a-z][a-z0-9_]{0,31}$", description="Its name in this module.")
    label: str = Field("", max_length=80, description="What people read.")
    actor: TaskName = Field("picture", description="The actor's name, as workers announce it.")
    actor_version: int = Field(1, ge=1, le=1_000)
    queue: TaskName = Field("media", description="The queue that its workers serve.")
    payload: dict[str, JsonValue] = Field(description="Its input; the seed is added to it.")
    changeable: list[str] = Field(
        default_factory=list, max_length=50, description="Fields of the payload that a person may change."
    )
    seed_field: str | None = Field("seed", max_length=64, description="The payload's field for the seed, if any.")
    feedback_field: str | None = Field(
        None, max_length=64, description="The payload's text to which feedback of earlier tries is added."
    )


def key_of(provider: MediaProvider, number: int) -> str:
    """Return the key of a provider's generation, numbered from 1."""
    return f"{provider.id}.{number}"


def number_of(key: str) -> int:
    """Return the number in a key."""
    number = key.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


def seed_of(provider: MediaProvider, number: int, seen: Seen, seed: int | None) -> int:
    """Return the seed of a generation: the next one for each, so that another one is another picture.

    Args:
        provider: The maker; a seed in its payload is where it begins.
        number: Which generation, from 1.
        seen: What has happened; the run's own chance is its.
        seed: The seed that the module was given.
    """
    own = provider.payload.get(provider.seed_field or "")
    if seed is None:
        seed = own if isinstance(own, int) else seen.seed
    return (seed + number - 1) % SEEDS


def call_of(provider: MediaProvider, number: int, seen: Seen, seed: int | None) -> TaskCall:
    """Return the call of a provider's generation."""
    payload = dict(provider.payload)
    if provider.seed_field is not None:
        payload[provider.seed_field] = seed_of(provider, number, seen, seed)
    if provider.feedback_field is not None and (said := _feedback(seen)):
        before = payload.get(provider.feedback_field)
        payload[provider.feedback_field] = "\n".join(filter(None, [before if isinstance(before, str) else "", said]))
    call = task_call(provider, key_of(provider, number), provider.actor, provider.queue, payload)
    return replace(call, actor_version=provider.actor_version, label=provider.label or provider.id)


def _feedback(seen: Seen) -> str:
    said = [earlier.feedback.get("message") for earlier in seen.tries if earlier.feedback]
    return "\n".join(str(one) for one in said[-5:] if one)


def content_ids(work: Work) -> list[str]:
    """Return the contents of a completed call: ``content_ids`` of its result, and its fields ``...content_id``."""
    if work.state != "completed" or not isinstance(work.result, dict):
        return []
    found: list[JsonValue] = []
    for name, value in work.result.items():
        if name == "content_ids" and isinstance(value, list):
            found.extend(value)
        elif name.endswith("content_id"):
            found.append(value)
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))[:MAX_CONTENTS]


def generations_of(providers: Sequence[MediaProvider], seen: Seen, seed: int | None) -> list[dict[str, Any]]:
    """Return all generations, by provider and number."""
    made = [
        (provider, number_of(key), seen.work[key])
        for provider in providers
        for key in sorted(seen.work, key=number_of)
        if key.rpartition(".")[0] == provider.id
    ]
    return [
        _generation(provider, number, work, seed_of(provider, number, seen, seed)) for provider, number, work in made
    ]


def _generation(provider: MediaProvider, number: int, work: Work, seed: int) -> dict[str, Any]:
    result = work.result if isinstance(work.result, dict) else {}
    used = result.get("seed")
    error = (work.error or {}).get("message")
    return {
        "key": key_of(provider, number),
        "provider": provider.id,
        "task_id": work.id,
        "state": work.state,
        "seed": used if isinstance(used, int) else seed,
        "content_ids": content_ids(work),
        "error": None if error is None else str(error)[:500],
    }
