"""Schemas of what is done to runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from appserver.api.schemas.runs import ShownRun
from appserver.engine.core.plan import GoingBackPlan

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


class WayBackRequest(BaseModel):
    """The base of requests to go back; ``last_seq`` makes a request that is repeated harmless."""

    model_config = ConfigDict(extra="forbid")

    last_seq: int | None = Field(None, ge=0, description="The newest event that the caller knows; else 409.")


class RetryRequest(WayBackRequest):
    """A retry of a module on the same line: with feedback, with other inputs, or of what has failed of it."""

    module: str = Field(pattern=NAME)
    feedback: dict[str, Any] = Field(default_factory=dict, description="What should be better.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="Inputs in place of the definition's.")
    failed_only: bool = Field(default=False, description="Whether only failed parts run again, such as of a map.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.failed_only and (self.feedback or self.inputs):
            raise ValueError("failed parts run again as they were; give neither feedback nor inputs")
        return self


class JumpRequest(WayBackRequest):
    """A jump back to a module, on a new branch."""

    module: str = Field(pattern=NAME)
    feedback: dict[str, Any] = Field(default_factory=dict, description="What should be better.")


class BranchRequest(WayBackRequest):
    """An old question that is asked again, on a new branch."""

    interaction_id: str = Field(min_length=1, max_length=200)


class SwitchRequest(WayBackRequest):
    """A return to where another branch has ended."""

    branch_id: str = Field(min_length=1, max_length=200)


class MoveRequest(WayBackRequest):
    """A move to another version of the workflow."""

    version_id: str = Field(min_length=1, max_length=200)


class ResetRequest(WayBackRequest):
    """A new beginning."""

    input: dict[str, Any] | None = Field(None, description="What it begins with; null for the same as before.")


class RerunView(BaseModel):
    """A module that runs again; ``unless_same`` when it is taken over after all should its inputs be the same."""

    step: str
    module: str
    type: str
    unless_same: bool


class PlanView(BaseModel):
    """A plan of going back; the cost is in US dollars, as text, since it is exact.

    ``without_estimate`` names the modules of whose cost nothing is known, or not all.
    """

    runs_again: list[RerunView]
    reused: list[str]
    tasks_stop: list[str]
    children_stop: list[str]
    estimated_cost: Decimal
    without_estimate: list[str]

    @classmethod
    def of(cls, plan: GoingBackPlan) -> Self:
        """Return the view of *plan*."""
        return cls.model_validate(plan, from_attributes=True)


class WentBackView(BaseModel):
    """A way back: its plan, and the run as it went on; null where the plan was only asked for."""

    plan: PlanView
    run: ShownRun | None
