"""Actors that do next to nothing, for measuring all that is not the actor."""

from __future__ import annotations

import time

from pydantic import BaseModel

from appworker import ActorContext, actor


class Nothing(BaseModel):
    """No input."""


class Begun(BaseModel):
    """When the actor's first line ran, by this host's clock."""

    at: float


@actor("bench.noop")
async def noop(_context: ActorContext, _payload: Nothing) -> Begun:
    """Do nothing, and tell when."""
    return Begun(at=time.time())
