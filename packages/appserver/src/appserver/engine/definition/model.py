"""The form of a definition: closed JSON, of which nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, JsonValue

from appserver.modules.registry import TYPE_FORM
from appserver.values.conditions import Closed, Condition, Path, Several

MAX_DEFINITION_BYTES = 1024 * 1024
MAX_MODULES = 200
MAX_DEPTH = 20
MAX_FILLED_BYTES = 256 * 1024

Identifier: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
ModuleType: TypeAlias = Annotated[str, Field(pattern=f"^{TYPE_FORM.pattern}$")]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=366 * 86_400)]
Title: TypeAlias = Annotated[str, Field(max_length=200)]


class RetryRule(Closed):
    """The tries that the engine makes by itself before a module's error stops the run."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 1
    delay_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    backoff: Annotated[float, Field(ge=1, le=10)] = 2.0
    on: Several[Literal["retryable", "rate_limited", "invalid_output", "expired"]] = ("retryable", "rate_limited")


class ModuleDefinition(Closed):
    """One use of a module."""

    id: Identifier
    type: ModuleType
    inputs: dict[str, JsonValue] = Field(default_factory=dict, alias="in")
    out: dict[Identifier, Path] = Field(default_factory=dict, max_length=100)
    """By name in the run's state, the path of a value in what the module gives."""
    when: Condition | None = None
    retry: RetryRule = RetryRule()
    timeout_seconds: Seconds | None = None
    reuse: bool | None = None
    """Whether a completion with the same inputs may be reused; ``None`` for what the module's type says."""
    on_error: Literal["fail", "skip"] = "fail"


class StepDefinition(Closed):
    """One step: modules that are done one after the other."""

    id: Identifier
    title: Title = ""
    modules: Annotated[Several[ModuleDefinition], Field(min_length=1)]


class Definition(Closed):
    """A workflow."""

    editor_schema: Annotated[str, Field(max_length=500)] | None = Field(default=None, alias="$schema")
    """The address of the language's JSON Schema, for an editor; it means nothing to a run."""
    format: Literal[1] = 1
    name: Identifier
    title: Title = ""
    description: Annotated[str, Field(max_length=4_000)] = ""
    input_schema: dict[str, Any] = Field(default_factory=dict, alias="input")
    """The JSON Schema of what a run begins with."""
    steps: Annotated[Several[StepDefinition], Field(min_length=1)]
    output: dict[Identifier, JsonValue] = Field(default_factory=dict, max_length=100)
    cost_limit: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")] | None = None
    """The most that a run may cost, in the ledger's currency; a text, since it is exact."""

    def modules(self) -> Iterator[tuple[StepDefinition, ModuleDefinition]]:
        """Yield each module with its step, in the order in which they run."""
        for step in self.steps:
            for module in step.modules:
                yield step, module

    @property
    def most_cost(self) -> Decimal | None:
        """``cost_limit`` as a number."""
        return None if self.cost_limit is None else Decimal(self.cost_limit)

    def as_json(self) -> Mapping[str, Any]:
        """Return the definition as it is written, without what is default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
