"""Usage: tokens, units and cost of calls to models."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeAlias

from pydantic import Field

from appdb.models.base import Document, Value
from appdb.models.bounds import STRICT, Name, Text
from appdb.utils import uuid7_str


class Usage(Document):
    """The usage and cost of one call to a model, as stored in ``tokens``."""

    owner_id: str
    # Kept when the run is deleted: a quota that deleting resets would be none (decision 0016).
    run_id: str | None = None
    """The run that it was for, which may have been deleted since; a plain task has none."""
    branch_id: str | None = None
    """The branch of the run that it was for."""
    task_id: str | None = None
    """The task that made it; a host's own call has none."""
    step_id: str | None = None
    module_name: str | None = None
    provider: str
    model: str
    operation: str
    display_name: str
    """What people are shown."""
    input_tokens: int
    output_tokens: int
    # Decimals: many small sums in binary fractions drift, and people compare them with bills (decision 0010).
    units: Decimal
    """What is paid for where that is not tokens: pictures, seconds, credits."""
    cost: Decimal
    """In US dollars, exact."""
    created_at: datetime


class UsageTotal(Value):
    """The sums over some calls; those of money are exact."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    units: Decimal = Decimal(0)
    """Means something only where one model, or at least one unit, is summed."""
    cost: Decimal = Decimal(0)
    """In US dollars."""


class ProviderTotal(UsageTotal):
    """The sums over the calls to one provider."""

    provider: str


class ModelTotal(UsageTotal):
    """The sums over the calls to one model."""

    provider: str
    model: str


class StepTotal(UsageTotal):
    """The sums over the calls of one step; ``None`` for calls outside of steps."""

    step_id: str | None = None


class UsageTotals(Value):
    """All totals of the same calls, each list with the most expensive first."""

    user: UsageTotal = Field(default_factory=UsageTotal)
    """Of the user, over everything that was asked for."""
    by_provider: list[ProviderTotal] = Field(default_factory=list)
    by_model: list[ModelTotal] = Field(default_factory=list)
    by_step: list[StepTotal] = Field(default_factory=list)


MAX_TOKENS = 10**12
Tokens: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_TOKENS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """The usage and cost of a call to a model.

    Args:
        provider: Who was paid.
        model: The model, in the provider's words.
        operation: What was asked of it, such as ``chat`` or ``txt2img``.
        cost: In US dollars, not negative, at most a billion, with at most 12 decimal places: exact, never a float.
        display_name: What people are shown.
        input_tokens: Tokens that went in.
        output_tokens: Tokens that came out.
        units: What is paid for where that is not tokens, with the same limits as *cost*.
    """

    __pydantic_config__ = STRICT
    provider: Text
    model: Text
    operation: Text
    cost: Decimal
    display_name: Text = ""
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    units: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUsage(CallUsage):
    """The usage and cost of a call that no task made, to record; the arguments of ``CallUsage``, and what it was for.

    Args:
        run_id: The run that it was for.
        step_id: The step that it was for.
        module_name: The module that it was for.
        id: Made here, or by a caller who may have to repeat the call: the same id is recorded once.
    """

    run_id: Name | None = None
    step_id: Text | None = None
    module_name: Text | None = None
    id: Name = field(default_factory=lambda: uuid7_str("tok_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """A choice of an owner's calls.

    Args:
        run_id: Only those of this run.
        since: Only those recorded at this time or later.
        until: Only those recorded before this time.
    """

    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = UsageFilter()
