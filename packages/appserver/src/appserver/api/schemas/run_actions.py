"""Schemas of what is done to runs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9_]{0,63}$"


class SignalRequest(BaseModel):
    """A message to a run."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="What the run's modules wait for.")
    payload: Any = None


class ActionRequest(BaseModel):
    """A sub-action of the module whose question is open."""

    model_config = ConfigDict(extra="forbid")

    module: str = Field(pattern=NAME)
    action: str = Field(min_length=1, max_length=100, description="One of the question's `actions`.")
    arguments: dict[str, Any] = Field(default_factory=dict)
