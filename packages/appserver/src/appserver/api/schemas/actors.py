"""Schemas of actors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from appdb.models import RegisteredActor


class ActorView(BaseModel):
    """An actor that tasks can name; ``payload_schema`` is JSON Schema, draft 2020-12."""

    name: str
    version: int
    description: str
    payload_schema: dict[str, Any]

    @classmethod
    def of(cls, actor: RegisteredActor) -> ActorView:
        """Return the view of *actor*."""
        return cls(
            name=actor.id,
            version=actor.version,
            description=actor.description,
            payload_schema=actor.payload_schema,
        )
