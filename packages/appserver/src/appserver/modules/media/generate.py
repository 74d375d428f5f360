"""``media.generate@1``: pictures, sounds or films are made, compared, made again, and picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Ask,
    Await,
    Done,
    Effect,
    ErrorCode,
    Fail,
    FieldProblem,
    Module,
    ModuleKind,
    Ports,
    Seen,
)
from appserver.modules.media.generations import MediaProvider, call_of, content_ids, generations_of, key_of, number_of
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken
from appserver.modules.work import failure_of

GENERATE = "generate"
MAX_GENERATIONS = 100
MAX_PICKED = 50
CONTENT_ID = "^gc_[0-9a-f]{32}$"


class GenerateInputs(QuestionInputs):
    """Media to make, and what is asked about it."""

    providers: list[MediaProvider] = Field(
        min_length=1, max_length=10, description="Who makes it; several are compared."
    )
    seed: int | None = Field(
        None, ge=0, le=2**31 - 1, description="Repeats what was made before; the run's own chance without."
    )
    begin: bool = Field(default=True, description="Whether each provider makes one before the question.")
    ask: bool = Field(default=True, description="Whether a person picks; without, all that was made is given.")
    min: int = Field(1, ge=0, le=MAX_PICKED, description="How many must be picked.")
    max: int = Field(1, ge=1, le=MAX_PICKED, description="How many may be picked.")


class MediaGeneration(Ports):
    """One of the things that were made."""

    key: str
    provider: str
    task_id: str
    state: str
    seed: int
    content_ids: list[str]
    error: str | None


class GenerateOutputs(Ports):
    """Media that were made and picked."""

    content_id: str | None = Field(description="The content that was picked first.")
    content_ids: list[str] = Field(description="All that were picked.")
    generations: list[MediaGeneration] = Field(description="All that were made, in their order.")
    expired: bool = Field(description="Whether nobody picked in time.")


class Generate(Module[GenerateInputs, GenerateOutputs]):
    """Makes media by one or several providers, again as often as a person likes, and gives what was picked."""

    type = "media.generate@1"
    kind = ModuleKind.TASK
    Inputs = GenerateInputs
    Outputs = GenerateOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "title": "Which picture?",
        "providers": [{"id": "drawn", "payload": {"prompt": "A tide pool"}}],
        "seed": 7,
    }

    def decide(self, inputs: GenerateInputs, seen: Seen) -> Effect:
        """Make, ask, and give what was picked."""
        if problem := _problem(inputs):
            return Fail(code=ErrorCode.MISCONFIGURED, message=problem, hint="correct the module's inputs")
        answer = last_answer(seen)
        if answer is not None:
            return way_taken(inputs, dict(answer)) or _done(inputs, seen, _picked(answer))
        if inputs.begin or not inputs.ask:
            first = [key_of(provider, 1) for provider in inputs.providers]
            if any(key not in seen.work or seen.work[key].state == "open" for key in first):
                return Await(calls=tuple(call_of(provider, 1, seen, inputs.seed) for provider in inputs.providers))
            if len(seen.work) == len(first) and (failed := _all_failed(seen)):
                return failed
        if not inputs.ask:
            return _done(inputs, seen, [one for work in seen.work.values() for one in content_ids(work)])
        return _question(inputs)

    def check_answer(self, inputs: GenerateInputs, seen: Seen, response: JsonValue) -> Sequence[FieldProblem]:  # noqa: ARG002
        """Return which of the picked contents were not made here."""
        made = {one for work in seen.work.values() for one in content_ids(work)}
        picked = _picked(response) if isinstance(response, dict) else []
        return [
            FieldProblem(pointer=f"/content_ids/{index}", message="it was not made in this module")
            for index, content_id in enumerate(picked)
            if content_id not in made
        ]

    def repeats(self, inputs: GenerateInputs) -> bool:
        """Return whether the same seed makes the same, without anybody's choice."""
        return inputs.seed is not None and not inputs.ask

    def act(self, inputs: GenerateInputs, seen: Seen, action: str, arguments: Mapping[str, JsonValue]) -> Await | Fail:
        """Return the work of another generation, with changes to the payload where there are some."""
        if action != GENERATE:
            return super().act(inputs, seen, action, arguments)
        provider = next((one for one in inputs.providers if one.id == arguments.get("provider", one.id)), None)
        changes = arguments.get("payload", {})
        if provider is None or not isinstance(changes, dict):
            names = ", ".join(one.id for one in inputs.providers)
            return Fail(code=ErrorCode.MISCONFIGURED, message=f"name a provider ({names}), and changes as an object")
        if foreign := sorted(changes.keys() - set(provider.changeable)):
            may = ", ".join(provider.changeable) or "nothing"
            return Fail(code=ErrorCode.MISCONFIGURED, message=f"{foreign[0]!r} cannot be changed here; {may} can")
        if len(seen.work) >= MAX_GENERATIONS:
            return Fail(code=ErrorCode.MISCONFIGURED, message=f"{MAX_GENERATIONS} were made; pick one of them")
        number = 1 + max((number_of(key) for key in seen.work if key.startswith(f"{provider.id}.")), default=0)
        call = call_of(provider, number, seen, inputs.seed)
        return Await(calls=(replace(call, payload={**call.payload, **changes}),))


def _problem(inputs: GenerateInputs) -> str | None:
    if len({provider.id for provider in inputs.providers}) < len(inputs.providers):
        return "two providers have the same id"
    if not inputs.begin and not inputs.ask:
        return "nothing would be made: begin and ask are both off"
    return None


def _all_failed(seen: Seen) -> Fail | None:
    ended = list(seen.work.values())
    return None if any(work.state == "completed" for work in ended) else failure_of(ended[0])


def _picked(answer: Mapping[str, JsonValue]) -> list[str]:
    picked = answer.get("content_ids")
    return [str(content_id) for content_id in picked] if isinstance(picked, list) else []


def _question(inputs: GenerateInputs) -> Ask | Fail:
    # What was made is not in it: the question stays the same while more is made, and `check_answer` knows the rest.
    schema = {
        "type": "object",
        "properties": {
            "content_ids": {
                "type": "array",
                "items": {"type": "string", "pattern": CONTENT_ID},
                "minItems": inputs.min,
                "maxItems": inputs.max,
                "uniqueItems": True,
            }
        },
        "required": ["content_ids"],
        "additionalProperties": False,
    }
    providers: list[JsonValue] = [
        {"id": one.id, "label": one.label or one.id, "payload": one.payload, "changeable": list(one.changeable)}
        for one in inputs.providers
    ]
    effect = asked(inputs, "media", schema, data={"providers": providers, "min": inputs.min, "max": inputs.max})
    return Ask(question=replace(effect.question, actions=(GENERATE,))) if isinstance(effect, Ask) else effect


def _done(inputs: GenerateInputs, seen: Seen, picked: list[str]) -> Done:
    expired = bool(seen.answers and seen.answers[-1].expired)
    outputs = {
        "content_id": picked[0] if picked else None,
        "content_ids": picked,
        "generations": generations_of(inputs.providers, seen, inputs.seed),
        "expired": expired,
    }
    return Done(outputs=outputs)
